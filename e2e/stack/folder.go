package stack

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const folderPattern = "pac-lease-queue-stack-"

// folder holds the files of a stack. Its lock file tells the folder of a running stack from one
// that a killed program left behind.
type folder struct {
	path string
	lock *os.File
}

// newFolder creates the folder of a stack at path. Without a path it creates one in the temporary
// folder, after removing those that killed programs left there.
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

// close removes the folder, or only its lock file if the folder is to be kept. The lock file goes
// last, so that sweepFolders finds a folder that was removed in part.
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

// sweepFolders removes the folders that killed programs left behind. It is a courtesy and ignores
// errors.
func sweepFolders() {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern+"*", "lock"))
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // its owner may not have locked it yet
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
