// Package process runs the programs of a stack so that none of them outlives it.
//
// Every program leads a process group of its own: a Ctrl-C in the terminal does not reach it, and it goes down with its helpers. On
// Linux the kernel kills it when the program that started it ends in whatever way: a return, a panic, os.Exit, SIGKILL. (That
// parent-death signal is tied to the thread that forked, so all forks come from one thread that is never given back.)
// Elsewhere a SIGKILLed parent leaves its children behind; a return, a failed test and a Ctrl-C handled by the caller do not.
package process
