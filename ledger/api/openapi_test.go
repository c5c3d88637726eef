package api

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/quorate-pki/quorate/internal/problem"
	"github.com/quorate-pki/quorate/internal/reason"
)

// document is what the tests read of openapi.json.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Parameters map[string]parameter
		Schemas    map[string]schema
	}
}

type operation struct {
	OperationID string
	Parameters  []parameter
	Responses   map[string]response
}

type parameter struct {
	Ref  string `json:"$ref"`
	Name string
	In   string
}

type response struct {
	Content map[string]json.RawMessage
	Reasons []string `json:"x-reasons"`
}

type schema struct {
	Required   []string
	Properties map[string]json.RawMessage
}

// described reads the document as the node serves it.
func described(t *testing.T) (document, chi.Routes) {
	t.Helper()
	h := New(Config{Channel: "main", Log: "0", Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/openapi.json", nil))
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK || !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Fatalf("%d, OpenAPI %q, %v", w.Code, d.OpenAPI, err)
	}
	return d, h.(chi.Routes)
}

// TestOpenAPIRoutes holds the document to the routes, in both directions: addresses, methods, parameters, refusals.
func TestOpenAPIRoutes(t *testing.T) {
	d, routes := described(t)
	served := map[string]bool{}
	err := chi.Walk(routes, func(method, path string, h http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !strings.HasPrefix(path, "/v1/") {
			return nil
		}
		name := strings.ToLower(method) + " " + path
		served[name] = true
		op, ok := d.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s is not described", name)
			return nil
		}
		d.checkParameters(t, name, path, op)
		var refusals []reason.Code
		if chain, ok := h.(*chi.ChainHandler); ok {
			h = chain.Endpoint
		}
		if e, ok := h.(endpoint); ok {
			refusals = append(slices.Clone(everyRoute), e.refusals...)
		} else if path != "/v1/openapi.json" {
			t.Errorf("%s is no endpoint of the table", name)
		}
		checkRefusals(t, name, op, refusals)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if !served[method+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operationId %q is empty or another's", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
}

var placeholder = regexp.MustCompile(`\{([a-z]+)\}`)

func (d *document) checkParameters(t *testing.T, name, path string, op operation) {
	t.Helper()
	var want, got []string
	for _, m := range placeholder.FindAllStringSubmatch(path, -1) {
		want = append(want, m[1])
	}
	for _, p := range op.Parameters {
		if key, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[key]
		}
		if p.In == "path" {
			got = append(got, p.Name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%s describes the parameters %v of its path, which has %v", name, got, want)
	}
}

// checkRefusals demands exactly these reasons, each under the status it is sent with.
func checkRefusals(t *testing.T, name string, op operation, refusals []reason.Code) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{} // slug -> status
	for _, c := range refusals {
		if want[c.String()] != "" {
			t.Errorf("%s has %s twice", name, c)
		}
		want[c.String()] = fmt.Sprint(problem.Status(c))
	}
	ok := false
	for status, r := range op.Responses {
		if status == "200" {
			ok = len(r.Content) > 0 && len(r.Reasons) == 0
			continue
		}
		if _, problem := r.Content[problem.ContentType]; !problem || len(r.Reasons) == 0 {
			t.Errorf("%s: status %s is no problem with reasons", name, status)
		}
		for _, slug := range r.Reasons {
			if _, known := reason.BySlug(slug); !known || got[slug] != "" {
				t.Errorf("%s: %s is no reason, or there twice", name, slug)
			}
			got[slug] = status
		}
	}
	if !ok {
		t.Errorf("%s describes no answer", name)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s may refuse with\n%v and describes\n%v", name, want, got)
	}
}

// schemas are the types behind the document's.
var schemas = map[string]any{"Problem": problem.Details{}, "Head": Head{}, "Verdict": Verdict{}, "Verdicts": Verdicts{}, "Result": Result{}, "Leaves": Leaves{},
	"Receipts": Receipts{}, "Record": Record{}, "Records": Records{}, "Proven": Proven{}, "Events": Events{}, "Event": Event{}, "Transaction": Transaction{},
	"Publication": Publication{}, "StatusChange": StatusChange{}, "StatusRun": StatusRun{}, "Epoch": Epoch{},
	"Organisation": Organisation{}, "Namespace": Namespace{}, "LineKey": LineKey{}, "CA": CA{}, "Proved": Proved{}, "Refused": Refused{}, "Expectation": Expectation{},
	"LifeEvent": LifeEvent{}, "CertificateHistory": CertificateHistory{}, "ClaimHistory": ClaimHistory{}, "History": History{},
	"Explanation": Explanation{}, "Statuses": Statuses{}, "Certificates": Certificates{}, "CertificateName": CertificateName{}, "Places": Places{},
	"Evidence": Evidence{}, "OrganisationChange": OrganisationChange{}, "NamespaceChange": NamespaceChange{}, "CutOff": CutOff{}, "CutOffEffect": CutOffEffect{},
	"Channel": Channel{}, "Rules": Rules{}, "Rule": Rule{}, "Proposal": Proposal{}, "Operation": Operation{}, "Vote": Vote{}, "Withdrawal": Withdrawal{},
	"Standing": Standing{}, "MemberSet": MemberSet{}, "Member": Member{}, "ProposalPage": ProposalPage{}, "Proposals": Proposals{}, "ProposalTitle": ProposalTitle{}}

// TestOpenAPISchemas holds the schemas to the types that are encoded, and every reference to something that is there.
func TestOpenAPISchemas(t *testing.T) {
	d, _ := described(t)
	for name, s := range d.Components.Schemas {
		of, ok := schemas[name]
		if !ok {
			t.Errorf("schema %s is no type's", name)
			continue
		}
		var all, required []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			if f.Anonymous {
				continue
			}
			key, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, key)
			if rest != "omitempty" {
				required = append(required, key)
			}
		}
		var described []string
		for key := range s.Properties {
			described = append(described, key)
		}
		for _, list := range [][]string{all, required, described, s.Required} {
			slices.Sort(list)
		}
		if !slices.Equal(all, described) || !slices.Equal(required, s.Required) {
			t.Errorf("schema %s has %v (required %v), the type %v (%v)", name, described, s.Required, all, required)
		}
	}
	for name := range schemas {
		if _, ok := d.Components.Schemas[name]; !ok {
			t.Errorf("type %s has no schema", name)
		}
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/([a-z]+)/([A-Za-z]+)"`).FindAllSubmatch(openAPIDocument, -1) {
		_, isSchema := d.Components.Schemas[string(m[2])]
		_, isParameter := d.Components.Parameters[string(m[2])]
		if (string(m[1]) == "schemas") != isSchema || (string(m[1]) == "parameters") != isParameter {
			t.Errorf("%s refers to nothing", m[0])
		}
	}
}
