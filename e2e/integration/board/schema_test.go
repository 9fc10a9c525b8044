package board_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// serve serves on loopback until the end of the test.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// schema checks answers against the document of the API.
type schema struct{ routers.Router }

func readSchema(t *testing.T) schema {
	t.Helper()
	text, _ := get(t, "/api/v1/openapi.yaml")
	document, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	return schema{router}
}

func (s schema) check(t *testing.T, path string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	route, params, err := s.FindRoute(request)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return
	}
	body, status := get(t, path)
	header := http.Header{"Content-Type": []string{"application/json"}}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: params, Route: route},
		Status:                 status, Header: header,
	}
	answer.SetBodyBytes([]byte(body))
	if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
		t.Errorf("%s, status %d: %v\n%s", path, status, err, body)
	}
}
