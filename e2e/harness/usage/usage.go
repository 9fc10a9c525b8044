// Package usage tells what a process on this machine uses. Linux only: it reads /proc.
package usage

import (
	"time"

	"github.com/prometheus/procfs"
)

// Resident returns the resident memory of a process, in bytes.
func Resident(pid int) (int64, error) {
	stat, err := statOf(pid)
	return int64(stat.ResidentMemory()), err
}

// CPU returns the CPU time that a process has used so far.
func CPU(pid int) (time.Duration, error) {
	stat, err := statOf(pid)
	return time.Duration(stat.CPUTime() * float64(time.Second)), err
}

func statOf(pid int) (procfs.ProcStat, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return procfs.ProcStat{}, err
	}
	return proc.Stat()
}
