package show

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Configure reads the command line and, for flags that are absent there, the environment; then it
// checks. Empty variables count as absent.
func (s *Show) Configure(args []string, getenv func(string) string) error {
	flags := pflag.NewFlagSet(s.Name, pflag.ContinueOnError)
	flags.SortFlags = false
	s.Flags(flags)
	flags.BoolVar(&s.keep, "keep", false, "leave everything up after the report, until Ctrl-C, and keep the logs")
	flags.Usage = func() {
		fmt.Fprintf(os.Stdout, "%s\n\nEach flag can also be set by the environment variable of its name in capitals, as in KEEP=1.\n\n%s",
			s.About, flags.FlagUsages())
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected arguments %q: flags begin with --", flags.Args())
	}
	if err := fromEnvironment(flags, getenv); err != nil {
		return err
	}
	if s.Check != nil {
		if err := s.Check(); err != nil {
			return err
		}
	}
	s.settings = settings(flags)
	return nil
}

// fromEnvironment sets the flags that the command line does not set.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := strings.ToUpper(f.Name)
		value := getenv(name)
		if f.Changed || value == "" {
			return
		}
		if err := f.Value.Set(value); err != nil {
			if want, ok := wanted[f.Value.Type()]; ok {
				err = errors.New("want " + want)
			}
			problems = append(problems, fmt.Errorf("%s is %q: %w", name, value, err))
		}
	})
	return errors.Join(problems...)
}

// settings writes the flags as make takes them, without the empty ones.
func settings(flags *pflag.FlagSet) string {
	var all []string
	flags.VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if f.Value.Type() == "bool" {
			value = map[string]string{"true": "1", "false": "0"}[value]
		}
		if value != "" {
			all = append(all, strings.ToUpper(f.Name)+"="+value)
		}
	})
	return strings.Join(all, " ")
}

// wanted describes the values of pflag's types, whose own errors speak of Go's parser.
var wanted = map[string]string{
	"bool":     "0 or 1",
	"duration": "a duration such as 90s or 10m",
	"uint64":   "a number that is not negative",
}

// Number is a flag with a whole number within bounds. What value holds is the default; below the
// bounds it means that there is none.
func Number(value *int, least, most int) pflag.Value { return &number{value, least, most} }

type number struct {
	value       *int
	least, most int
}

func (n *number) Type() string { return "number" }

func (n *number) String() string {
	if *n.value < n.least {
		return ""
	}
	return strconv.Itoa(*n.value)
}

func (n *number) Set(s string) error {
	value, err := strconv.Atoi(s)
	if err != nil || value < n.least || value > n.most {
		return fmt.Errorf("want a number from %d to %d", n.least, n.most)
	}
	*n.value = value
	return nil
}

// Choice is a flag with one of a few words. What value holds is the default.
func Choice(value *string, words ...string) pflag.Value { return &choice{value, words} }

type choice struct {
	value *string
	words []string
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("want one of %v", c.words)
	}
	*c.value = s
	return nil
}
