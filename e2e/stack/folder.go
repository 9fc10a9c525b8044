package stack

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const folderPattern = "pac-lease-queue-stack-"

// folder is where a stack keeps its files. A lock file in it tells the folders of running stacks from those of programs that were
// killed.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes a folder for a stack: path, or a new one in the temporary folder, from which it first clears those that
// killed programs left behind.
func newFolder(path string) (*folder, error) {
	var err error
	if path == "" {
		sweepFolders()
		path, err = os.MkdirTemp("", folderPattern)
	} else if path, err = filepath.Abs(path); err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return nil, err
	}
	lock, err := os.Create(filepath.Join(path, "lock"))
	if err != nil {
		return nil, err
	}
	return &folder{path: path, lock: lock}, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// close removes the folder, or leaves it for good if it is to be kept. The lock file goes last: a folder that is removed only in
// part is swept up later.
func (f *folder) close(keep bool) error {
	defer f.lock.Close()
	if keep {
		return os.Remove(f.lock.Name())
	}
	entries, err := os.ReadDir(f.path)
	for _, entry := range entries {
		if path := filepath.Join(f.path, entry.Name()); path != f.lock.Name() {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return errors.Join(err, os.RemoveAll(f.path))
}

// sweepFolders removes the folders whose owner is gone and did not mean to keep them. It is a courtesy: errors do not matter.
func sweepFolders() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern+"*", "lock"))
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // perhaps not locked yet
		}
		lock, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		lock.Close()
	}
}
