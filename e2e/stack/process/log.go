//go:build unix

package process

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// LogFile returns the file with everything that the process printed, in all its lives.
func (p *Process) LogFile() string { return filepath.Join(p.spec.Logs, p.spec.Name+".log") }

// LogSize returns the current length of the log, as an offset for LogLines.
func (p *Process) LogSize() (int64, error) {
	info, err := os.Stat(p.LogFile())
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// LogStart returns the offset at which the log of the process's current life begins.
func (p *Process) LogStart() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return 0
	}
	return p.current.logStart
}

// LogLines returns the lines of the log, from an offset on, that contain all of the words.
func (p *Process) LogLines(from int64, words ...string) ([]string, error) {
	text, err := os.ReadFile(p.LogFile())
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range bytes.Lines(text[min(from, int64(len(text))):]) {
		if containsAll(string(line), words) {
			lines = append(lines, string(line))
		}
	}
	return lines, nil
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}

// excerpt returns the end of the log, for an error message.
func (p *Process) excerpt() string {
	const size = 2000
	f, err := os.Open(p.LogFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > size {
		_, _ = f.Seek(end-size, io.SeekStart)
	} else {
		_, _ = f.Seek(0, io.SeekStart)
	}
	tail, _ := io.ReadAll(f)
	return fmt.Sprintf("\nend of %s:\n%s", p.LogFile(), tail)
}
