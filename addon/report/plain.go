package report

import (
	"io"
	"strings"
	"unicode"
)

// Plain returns a text without what a terminal obeys instead of showing it: control characters,
// which begin every escape sequence, and marks that turn the direction of writing around. The user
// who writes an object chooses its texts, and the terminal of another shows them. Line breaks and
// tabs stay.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		default:
			return r
		}
	}, text)
}

// PlainWriter passes on what is written as [Plain] returns it. A text must be written in one piece.
type PlainWriter struct{ To io.Writer }

// Write implements io.Writer.
func (w PlainWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.To, Plain(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
