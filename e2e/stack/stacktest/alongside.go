package stacktest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/pac-lease-queue/pac-lease-queue/e2e/stack/process"
)

// Alongside runs this test program a second time with more arguments, at the same time: tests on a
// stack mostly wait. Arguments of its own take precedence over more. Each line of the second
// program's output is prefixed with arg. The returned function waits until it ends and returns its
// exit code.
func Alongside(arg string, more ...string) (wait func() int) {
	args := append([]string{arg}, more...)
	for _, a := range os.Args[1:] {
		if !strings.HasPrefix(a, "-test.testlogfile=") && !strings.Contains(a, "profile=") { // files of this program
			args = append(args, a)
		}
	}
	out, in := io.Pipe()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stdout, cmd.Stderr = in, in
	ended := make(chan error, 1)
	go func() {
		err := process.Run(cmd)
		in.Close()
		ended <- err
	}()
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if line != "" {
				fmt.Printf("%s| %s\n", arg, strings.TrimSuffix(line, "\n"))
			}
			if err != nil {
				return
			}
		}
	}()
	return func() int {
		err := <-ended
		<-printed
		if err != nil {
			fmt.Printf("%s: %v\n", arg, err)
			return 1
		}
		return 0
	}
}
