package controller

import (
	"context"
	"errors"
	"testing"
)

// A run that is labelled for Kueue is started beside it only once Kueue is surely gone.
func TestKueueIsGoneAfterLooksInARow(t *testing.T) {
	timeout := errors.New("timeout")
	answers := []struct {
		is, admits bool
		err        error
		changed    int
	}{
		{is: false, admits: true},
		{is: false, admits: true},
		{is: true, admits: true}, // begins the count anew
		{is: false, admits: true},
		{err: timeout, admits: true}, // answers nothing
		{is: false, admits: true},
		{is: false, admits: false, changed: 1},
		{is: false, admits: false, changed: 1},
		{err: timeout, admits: false, changed: 1},
		{is: true, admits: true, changed: 2},
	}
	changed, i := 0, 0
	k := &kueue{
		has:     func(context.Context) (bool, error) { return answers[i].is, answers[i].err },
		changed: func() { changed++ },
	}
	if !k.Admits() {
		t.Error("Kueue counts as gone before any look")
	}
	for i = range answers {
		_, err := k.Look(t.Context())
		if !errors.Is(err, answers[i].err) {
			t.Errorf("look %d: error %v", i, err)
		}
		if k.Admits() != answers[i].admits || changed != answers[i].changed {
			t.Fatalf("after look %d, Kueue starts runs: %t, %d changes; want %+v", i, k.Admits(), changed, answers[i])
		}
	}
}
