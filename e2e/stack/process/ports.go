//go:build unix

package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports hands out port numbers that no other stack on this machine uses. It owns a block of numbers
// by a file lock, which ends with this program. The block is below the kernel's range for outgoing
// connections, so a free port stays free until its process listens on it, and while that process
// restarts.
type Ports struct {
	lock *os.File

	mu       sync.Mutex
	returned []int
	next     int
	end      int
}

const (
	firstPort  = 20000
	lastPort   = 32000
	blockPorts = 200
)

// ReservePorts locks a free block of ports.
func ReservePorts() (*Ports, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("pac-lease-queue-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for block := firstPort; block+blockPorts <= lastPort; block += blockPorts {
		f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(block)), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return &Ports{lock: f, next: block, end: block + blockPorts}, nil
		}
		f.Close()
	}
	return nil, errors.New("running stacks have taken every block of ports")
}

// Take returns a port of the block on which no process listens.
func (p *Ports) Take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var port int
		switch {
		case len(p.returned) > 0:
			port, p.returned = p.returned[0], p.returned[1:]
		case p.next < p.end:
			port = p.next
			p.next++
		default:
			return 0, fmt.Errorf("the stack has used up its %d ports", blockPorts)
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		return port, nil
	}
}

// Return makes a port available for another process.
func (p *Ports) Return(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.returned = append(p.returned, port)
}

// Release unlocks the block.
func (p *Ports) Release() { p.lock.Close() }
