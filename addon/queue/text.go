package queue

import "strings"

// Clip cuts a text to at most that many bytes, and marks the cut. It keeps annotations and
// answers of foreign webhooks from flooding messages.
func Clip(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	const mark = "…"
	return strings.ToValidUTF8(text[:bytes-len(mark)], "") + mark
}
