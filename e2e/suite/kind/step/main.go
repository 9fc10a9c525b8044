// Command step is the work of test runs: it takes a given time and exits with a given code. Its
// image holds nothing else, so a step names it as its command:
//
//	command: [/step]
//	args: ["-for", "5s", "-exit", "0"]
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	duration := flag.Duration("for", 0, "the time to take")
	code := flag.Int("exit", 0, "the exit code")
	flag.Parse()
	fmt.Printf("for %s, then exit %d\n", *duration, *code)
	time.Sleep(*duration)
	os.Exit(*code)
}
