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

func TestBounded(t *testing.T) {
	for text, want := range map[string]string{"": "", "12345678": "12345678", "123456789": "… (9 bytes)"} {
		got := queue.Bounded(text, 8)
		if bytes, marked := queue.TooLong(got); got != want || marked && bytes != len(text) || marked != (len(text) > 8) {
			t.Errorf("Bounded(%q, 8) = %q, want %q; it reads as %d bytes %t", text, got, want, bytes, marked)
		}
	}
	for _, text := range []string{"", "…", "… (x bytes)", "… (9 bytes) more", "9"} {
		if _, marked := queue.TooLong(text); marked {
			t.Errorf("%q reads as a mark", text)
		}
	}
}
