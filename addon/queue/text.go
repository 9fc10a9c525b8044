package queue

import (
	"fmt"
	"strconv"
	"strings"
)

// mark is in place of what was cut.
const mark = "…"

// Bounded returns a copy of the text, or a mark with the length of one that has more bytes than
// that. Caches keep it in place of a text that is too long to mean anything.
func Bounded(text string, bytes int) string {
	if len(text) <= bytes {
		return strings.Clone(text)
	}
	return fmt.Sprintf(mark+" (%d bytes)", len(text))
}

// TooLong says whether Bounded put a mark in place of a text, and how many bytes that had.
func TooLong(text string) (bytes int, marked bool) {
	text, marked = strings.CutPrefix(text, mark+" (")
	if !marked {
		return 0, false
	}
	text, marked = strings.CutSuffix(text, " bytes)")
	bytes, err := strconv.Atoi(text)
	return bytes, marked && err == nil
}

// Clip cuts a text to at most that many bytes, and marks the cut. It keeps annotations and
// answers of foreign webhooks from flooding messages.
func Clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes-len(mark)], "") + mark
}
