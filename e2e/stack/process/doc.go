// Package process runs the programs of a stack so that none of them outlives it.
//
// Every program leads a process group of its own: a Ctrl-C in the terminal does not reach it, and
// its helpers end with it. On Linux the kernel kills it when the program that started it ends in
// any way: by a return, a panic, os.Exit or SIGKILL. That parent-death signal is bound to the
// thread that forked, so all forks come from one thread that never ends. On other systems a parent
// that gets SIGKILL leaves its children behind; a return, a failed test and a Ctrl-C that the
// caller handles do not.
package process
