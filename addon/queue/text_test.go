package queue_test

import (
	"testing"

	"github.com/pac-lease-queue/pac-lease-queue/addon/queue"
)

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "12345678": "12345678", "123456789": "12345…", "1234ü6789": "1234…", // half of the ü is cut off
	} {
		if got := queue.Clip(text, 8); got != want || len(got) > 8 {
			t.Errorf("Clip(%q, 8) = %q, want %q", text, got, want)
		}
	}
}
