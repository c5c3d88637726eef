package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	xocsp "golang.org/x/crypto/ocsp"

	"github.com/quorate-pki/quorate/ocsp"
)

func newBenchOCSP() *cobra.Command {
	b := &ocspBench{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ocsp [--certs 1000] [--json]",
		Short: "OCSP answers per second, against a bare HTTP server",
		Long: `Run one member on this machine, in a temporary directory, with --certs certificates published, and measure its OCSP responder
against limits that are measured in the same run, in turns:

  answers    over loopback, about certificates drawn at random, by GET and by POST, against a bare net/http server that
             returns the same octets, headers and all, whatever is asked
  signing    answers that were not asked for before, at the responder's handler, on all cores, against bare signatures
             by its key

Beside them, where openssl is installed, what "openssl ocsp" answers under the same load.

Each figure is the median of its turns. Clients run in the same process and share its cores: they write requests and count the octets of
answers, no more. One answer of each turn is verified.`,
		Example: "  quorate bench ocsp\n  quorate bench ocsp --certs 1000000 --json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case b.preload < 1 || b.preload > 20_000_000:
				return usage{fmt.Errorf("--certs %d: 1 to 20,000,000", b.preload)}
			case b.turns < 1 || b.turns > 1000:
				return usage{errors.New("--turns: 1 to 1,000")}
			case b.slice < 10*time.Millisecond || b.slice > time.Minute:
				return usage{errors.New("--slice: 10ms to 1m")}
			case b.connections < 1 || b.connections > 1000:
				return usage{errors.New("--connections: 1 to 1,000")}
			}
			return measured(cmd, asJSON, func(dir string) (figures, error) {
				b.members, b.ctx, b.dir, b.log = 1, cmd.Context(), dir, cmd.ErrOrStderr()
				return b.run()
			})
		},
	}
	cmd.Flags().IntVar(&b.preload, "certs", 1000, "certificates that are published, and asked about")
	cmd.Flags().IntVar(&b.turns, "turns", 25, "turns of each measurement")
	cmd.Flags().DurationVar(&b.slice, "slice", 50*time.Millisecond, "how long each side is measured at a time, twice a turn")
	cmd.Flags().IntVar(&b.connections, "connections", 16, "connections that ask at once")
	cmd.Flags().StringVar(&b.profileFile, "cpuprofile", "", "write the CPU profile of the last turn's OCSP side by GET to this file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON")
	return cmd
}

// ocspFigures is what `bench ocsp --json` prints.
type ocspFigures struct {
	Certs int `json:"certs"`
	Cores int `json:"cores"`

	// The method with the lower ratio.
	AnswersPerSecond   float64 `json:"answers_per_second"`
	PlainHTTPPerSecond float64 `json:"plain_http_per_second"`
	Ratio              float64 `json:"ratio"` // median over turns of answers / plain HTTP

	Get  methodFigures `json:"get"`
	Post methodFigures `json:"post"`

	SignedPerSecond     float64 `json:"signed_per_second"`     // answers not asked for before, without a network
	SignaturesPerSecond float64 `json:"signatures_per_second"` // of the same key, and nothing else
	SigningRatio        float64 `json:"signing_ratio"`

	// The same by the processor time of the whole process, on a machine that does other things meanwhile.
	SignedCPUMicroseconds    float64 `json:"signed_cpu_us"`
	SignatureCPUMicroseconds float64 `json:"signature_cpu_us"`

	// Of "openssl ocsp" as a responder under the same load by POST, a connection for each request; absent where it is not
	// installed.
	OpenSSLPerSecond float64 `json:"openssl_per_second,omitempty"`

	AnswerBytes int     `json:"answer_bytes"` // body
	ResidentMiB float64 `json:"resident_mib"`
}

// methodFigures are those of GET or POST.
type methodFigures struct {
	AnswersPerSecond   float64   `json:"answers_per_second"`
	PlainHTTPPerSecond float64   `json:"plain_http_per_second"`
	Ratio              float64   `json:"ratio"`
	Ratios             []float64 `json:"ratios"`

	// Processor time of the whole process for one answer, clients and all; 0 where the system does not tell. It is what to
	// compare on a machine that does other things meanwhile.
	AnswerCPUMicroseconds    float64 `json:"answer_cpu_us"`
	PlainHTTPCPUMicroseconds float64 `json:"plain_http_cpu_us"`
}

func (r *ocspFigures) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, args...)) }
	row("certificates, cores", "%d, %d", r.Certs, r.Cores)
	for _, m := range []struct {
		name string
		methodFigures
	}{{"GET", r.Get}, {"POST", r.Post}} {
		row(m.name+": answers", "%.0f/s", m.AnswersPerSecond)
		row(m.name+": bare HTTP server", "%.0f/s", m.PlainHTTPPerSecond)
		row(m.name+": ratio", "%.2f (turns %.2f)", m.Ratio, m.Ratios)
		row(m.name+": processor time of one, with its client", "%.1f us, bare %.1f us", m.AnswerCPUMicroseconds, m.PlainHTTPCPUMicroseconds)
	}
	row("signed on demand, no network", "%.0f/s", r.SignedPerSecond)
	row("bare signatures", "%.0f/s", r.SignaturesPerSecond)
	row("ratio", "%.2f", r.SigningRatio)
	row("processor time of one", "%.1f us, bare %.1f us", r.SignedCPUMicroseconds, r.SignatureCPUMicroseconds)
	if r.OpenSSLPerSecond > 0 {
		row("openssl ocsp as the responder", "%.0f/s", r.OpenSSLPerSecond)
	}
	row("answer", "%d bytes", r.AnswerBytes)
	row("resident memory", "%.0f MiB", r.ResidentMiB)
	w.Flush()
}

// ocspBench is one run of `bench ocsp`.
type ocspBench struct {
	bench
	turns, connections int
	slice              time.Duration
	profileFile        string

	requests [][]byte // DER, one a certificate
	plain    *http.Server
	hosts    [2]string // of the responder and of the bare server
	bodySize int
	verified *x509.Certificate // the responder's
}

func (b *ocspBench) run() (r *ocspFigures, err error) {
	b.filled = b.remember
	r = &ocspFigures{Certs: b.preload, Cores: runtime.NumCPU()}
	if err := b.establish(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(b.running)) }()
	if err := b.signing(r); err != nil {
		return nil, fmt.Errorf("measuring signing: %w", err)
	}
	if err := b.startPlain(); err != nil {
		return nil, err
	}
	defer b.plain.Close()
	r.AnswerBytes = b.bodySize
	for _, m := range []struct {
		method string
		out    *methodFigures
	}{{http.MethodGet, &r.Get}, {http.MethodPost, &r.Post}} {
		if *m.out, err = b.method(m.method); err != nil {
			return nil, fmt.Errorf("measuring %s: %w", m.method, err)
		}
	}
	if r.OpenSSLPerSecond, err = b.openssl(); err != nil {
		return nil, fmt.Errorf("measuring openssl: %w", err)
	}
	worse := r.Get
	if r.Post.Ratio < worse.Ratio {
		worse = r.Post
	}
	r.AnswersPerSecond, r.PlainHTTPPerSecond, r.Ratio = worse.AnswersPerSecond, worse.PlainHTTPPerSecond, worse.Ratio
	r.ResidentMiB = residentMiB()
	return r, nil
}

// remember makes the request about each certificate, as openssl would: by SHA-1.
func (b *ocspBench) remember(ders [][]byte) error {
	for _, der := range ders {
		id, err := ocsp.NewCertID(crypto.SHA1, der, der)
		if err != nil {
			return err
		}
		req, err := ocsp.NewRequest(nil, id)
		if err != nil {
			return err
		}
		b.requests = append(b.requests, bytes.Clone(req.Raw))
	}
	return nil
}

// signing takes turns: bare signatures, answers to requests that were never made before. In the end all were made.
func (b *ocspBench) signing(r *ocspFigures) error {
	keys, err := readKeys(filepath.Join(b.consortium.dir, "orgs", b.running[0].name))
	if err != nil {
		return err
	}
	handler := b.running[0].faces.all[0].server.Handler
	cores := runtime.NumCPU()
	var signatures, answers, ratios []float64
	var costs [2][]float64 // of an answer, of a signature
	for turn := range b.turns {
		part := b.requests[turn*len(b.requests)/b.turns : (turn+1)*len(b.requests)/b.turns]
		if len(part) == 0 {
			continue
		}
		digest := sha256.Sum256(part[0])
		runtime.GC() // of what came before
		bare, err := onAllCores(cores, len(part), func(int) error {
			_, err := keys.responder.Sign(rand.Reader, digest[:], crypto.SHA256)
			return err
		})
		if err != nil {
			return err
		}
		runtime.GC()
		signed, err := onAllCores(cores, len(part), func(i int) error {
			req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, ocspPrefix, bytes.NewReader(part[i]))
			if err != nil {
				return err
			}
			req.Header["Content-Type"] = []string{"application/ocsp-request"}
			w := &sink{header: http.Header{}}
			handler.ServeHTTP(w, req)
			if w.status != 0 || w.n < 100 {
				return fmt.Errorf("answered %d with %d octets", w.status, w.n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		signatures, answers = append(signatures, bare.perSecond()), append(answers, signed.perSecond())
		costs[0], costs[1] = append(costs[0], signed.cpuMicroseconds()), append(costs[1], bare.cpuMicroseconds())
		ratios = append(ratios, answers[len(answers)-1]/signatures[len(signatures)-1])
		b.say("turn %d of %d: %.0f answers/s signed, %.0f signatures/s", turn+1, b.turns, answers[len(answers)-1], signatures[len(signatures)-1])
	}
	r.SignedPerSecond, r.SignaturesPerSecond, r.SigningRatio = median(answers), median(signatures), median(ratios)
	r.SignedCPUMicroseconds, r.SignatureCPUMicroseconds = median(costs[0]), median(costs[1])
	return nil
}

// sink counts what a handler answers.
type sink struct {
	header http.Header
	status int // 0: the handler did not say
	n      int
}

// Header implements http.ResponseWriter.
func (s *sink) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *sink) WriteHeader(status int) { s.status = status }

// Write implements http.ResponseWriter.
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

// onAllCores does something n times and tells what that took.
func onAllCores(cores, n int, do func(i int) error) (loaded, error) {
	errs := make([]error, cores)
	begin, cpu := time.Now(), processorTime()
	var wg sync.WaitGroup
	for w := range cores {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += cores {
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()
	return loaded{answers: n, wall: time.Since(begin), cpu: processorTime() - cpu}, errors.Join(errs...)
}

// startPlain starts a server that returns one of the responder's answers, whatever is asked, with the same settings.
func (b *ocspBench) startPlain() error {
	m := b.running[0]
	b.hosts[0] = m.url[len("http://"):]
	der, err := b.responderCertificate()
	if err != nil {
		return err
	}
	if b.verified, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	header, body, err := b.answer(http.MethodGet, b.requests[0])
	if err != nil {
		return err
	}
	b.bodySize = len(body)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b.hosts[1] = l.Addr().String()
	get, post := http.Header{}, http.Header{}
	for name, value := range header {
		switch name {
		case "Date", "Content-Length": // the server's
			continue
		case "Content-Type":
			post[name] = value
		}
		get[name] = value
	}
	post["Cache-Control"] = []string{"no-store"}
	own := m.faces.all[0].server
	b.plain = &http.Server{ReadHeaderTimeout: own.ReadHeaderTimeout, ReadTimeout: own.ReadTimeout, WriteTimeout: own.WriteTimeout,
		IdleTimeout: own.IdleTimeout, MaxHeaderBytes: own.MaxHeaderBytes,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			h, from := w.Header(), get
			if req.Method == http.MethodPost {
				from = post
			}
			for name, value := range from {
				h[name] = value
			}
			_, _ = w.Write(body)
		})}
	go func() { _ = b.plain.Serve(l) }()
	return nil
}

func (b *ocspBench) responderCertificate() ([]byte, error) {
	ders, err := readResponders(filepath.Join(b.consortium.dir, responderName))
	if err != nil {
		return nil, err
	}
	return ders[0], nil
}

// answer asks the responder by an ordinary client, and verifies.
func (b *ocspBench) answer(method string, der []byte) (http.Header, []byte, error) {
	resp, err := http.DefaultClient.Do(ocspRequest(b.ctx, method, b.hosts[0], der))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	got, err := xocsp.ParseResponse(body, b.verified)
	if err != nil {
		return nil, nil, err
	}
	if got.Status != xocsp.Good {
		return nil, nil, fmt.Errorf("a certificate is not good but %d", got.Status)
	}
	return resp.Header, body, nil
}

// method takes turns at one method. Each turn is the responder, the bare server twice, the responder again, so that what
// else the machine does meanwhile falls on both.
func (b *ocspBench) method(method string) (out methodFigures, err error) {
	var rates, costs [2][]float64
	for turn := range b.turns + 1 {
		if _, _, err := b.answer(method, b.requests[turn%len(b.requests)]); err != nil {
			return out, err
		}
		var sides [2]loaded
		for part, side := range []int{0, 1, 1, 0} {
			profiled := b.profileFile != "" && part == 0 && turn == b.turns && method == http.MethodGet
			one, err := b.measure(method, side, profiled)
			if err != nil {
				return out, err
			}
			sides[side].add(one)
		}
		if turn == 0 {
			continue // connections, and the clients' own memory
		}
		for side := range sides {
			rates[side] = append(rates[side], sides[side].perSecond())
			costs[side] = append(costs[side], sides[side].cpuMicroseconds())
		}
		ratio := sides[0].perSecond() / sides[1].perSecond()
		out.Ratios = append(out.Ratios, ratio)
		b.say("%s, turn %d of %d: %.0f answers/s, bare %.0f/s, ratio %.2f", method, turn, b.turns, sides[0].perSecond(), sides[1].perSecond(), ratio)
	}
	out.AnswersPerSecond, out.PlainHTTPPerSecond, out.Ratio = median(rates[0]), median(rates[1]), median(slices.Clone(out.Ratios))
	out.AnswerCPUMicroseconds, out.PlainHTTPCPUMicroseconds = median(costs[0]), median(costs[1])
	return out, nil
}

// measure loads one side, with a profile if asked for.
func (b *ocspBench) measure(method string, side int, profiled bool) (out loaded, err error) {
	runtime.GC() // of the other side's garbage
	if !profiled {
		return b.load(method, b.hosts[side])
	}
	f, err := os.Create(b.profileFile)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return out, err
	}
	defer pprof.StopCPUProfile()
	return b.load(method, b.hosts[side])
}
