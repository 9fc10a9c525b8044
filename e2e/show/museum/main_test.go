package main

import (
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	all, err := choose(nil)
	if err != nil || len(all) != len(exhibits) {
		t.Errorf("no names choose %d exhibits, error %v, want all %d", len(all), err, len(exhibits))
	}
	two, err := choose([]string{"failed-get", "lost-reply"})
	if err != nil || len(two) != 2 || two[0].name != "failed-get" || two[1].name != "lost-reply" {
		t.Errorf("got %v, error %v, want the two in the given order", two, err)
	}
	if _, err := choose([]string{"lost-replay"}); err == nil || !strings.Contains(err.Error(), `"lost-replay"`) ||
		!strings.Contains(err.Error(), "lost-reply") {
		t.Errorf("%v, want an error that names the wrong exhibit and the known ones", err)
	}
}
