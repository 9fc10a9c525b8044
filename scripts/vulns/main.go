// Command vulns fails when the code reaches a known vulnerability, unless accepted.yaml has it with
// a reason and the day on which it is decided again.
//
//	go run ./scripts/vulns ./addon/...
//	go run ./scripts/vulns -db file:///mirror -required ./addon/...
//
// It runs govulncheck, which scripts/tools pins. If the vulnerability database cannot be reached,
// it says so in one line and fails only with -required.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

//go:embed accepted.yaml
var acceptedYAML []byte

// answerWithin is how long the database may take to answer at all.
const answerWithin = 15 * time.Second

func main() {
	db := flag.String("db", "https://vuln.go.dev", "URL of the vulnerability database, https or file")
	required := flag.Bool("required", false, "fail if the database cannot be reached")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *db, *required, flag.Args(), time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "vulns:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, db string, required bool, packages []string, now time.Time) error {
	accepted, err := parseAccepted(acceptedYAML)
	if err != nil {
		return fmt.Errorf("scripts/vulns/accepted.yaml: %w", err)
	}
	if err := reach(ctx, db); err != nil {
		if required {
			return fmt.Errorf("the vulnerability database cannot be reached: %w", err)
		}
		fmt.Fprintln(os.Stderr, "vulns: skipped, the vulnerability database cannot be reached:", err)
		return nil
	}
	args := append([]string{"tool", "-modfile=scripts/tools/go.mod", "govulncheck", "-json", "-db", db}, packages...)
	scan := exec.CommandContext(ctx, "go", args...)
	scan.Stderr = os.Stderr
	output, err := scan.Output()
	if err != nil {
		return fmt.Errorf("govulncheck: %w", err)
	}
	found, err := parseFindings(output)
	if err != nil {
		return fmt.Errorf("what govulncheck printed: %w", err)
	}
	result := judge(found, accepted, now)
	for _, note := range result.notes {
		fmt.Fprintln(os.Stderr, "vulns:", note)
	}
	if len(result.failures) > 0 {
		return errors.New(strings.Join(result.failures, "\nvulns: "))
	}
	return nil
}

// reach tells whether a database answers.
func reach(ctx context.Context, db string) error {
	if !strings.HasPrefix(db, "http") {
		return nil // govulncheck says what is wrong with a folder
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, strings.TrimSuffix(db, "/")+"/index/db.json", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}
