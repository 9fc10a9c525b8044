// Command step is what the tasks of test runs do: it takes a while, and ends with a
// given code. Its image holds nothing else, so a step says it as its command:
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
	took := flag.Duration("for", 0, "how long it takes")
	code := flag.Int("exit", 0, "the code that it ends with")
	flag.Parse()
	fmt.Printf("for %s, then exit %d\n", *took, *code)
	time.Sleep(*took)
	os.Exit(*code)
}
