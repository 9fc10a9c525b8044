package paged

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

const (
	// lightBytes is the longest answer to a light read, and lightReaders how many light reads a
	// gate lets in at a time, at most half of them in one namespace. Decoded, they take less than
	// one large page of the heaviest objects.
	lightBytes, lightReaders = 256 << 10, 32
	// longest is the longest page of a light read, in objects.
	longest = 500
)

// errHeavy says that an answer is too long for a light read.
var errHeavy = errors.New("the answer is too long for a light read")

// lightly is the key of contexts of light reads.
type lightly struct{}

// Through returns the transport that a client needs whose lists go through a [Gate]: it fails a
// light read with a long answer before that is in memory. Without it, a gate bounds objects, but
// not their bytes.
func Through(next http.RoundTripper) http.RoundTripper { return bounded{next} }

type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err != nil || r.Context().Value(lightly{}) == nil {
		return response, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, lightBytes+1))
	_ = response.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case len(body) > lightBytes:
		return nil, errHeavy
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// WrappedRoundTripper lets client-go see through.
func (b bounded) WrappedRoundTripper() http.RoundTripper { return b.RoundTripper }

// light returns the context of a light read.
func light(ctx context.Context) context.Context { return context.WithValue(ctx, lightly{}, true) }

// lightLimit is how long the next page of a light read is, after one of so many objects and bytes.
func lightLimit(objects, bytes int) int64 {
	return int64(max(large, min(longest, lightBytes/2/max(1, bytes/max(1, objects)))))
}
