package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// ocspRequest is an OCSP request as an ordinary client sends it.
func ocspRequest(ctx context.Context, method, host string, der []byte) *http.Request {
	u := &url.URL{Scheme: "http", Host: host, Path: ocspPrefix}
	req := (&http.Request{Method: method, URL: u, Host: host, Header: http.Header{}}).WithContext(ctx)
	if method == http.MethodGet {
		encoded := base64.StdEncoding.EncodeToString(der)
		u.Path, u.RawPath = ocspPrefix+"/"+encoded, ocspPrefix+"/"+url.QueryEscape(encoded)
		return req
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(der)), int64(len(der))
	return req
}

// loaded is what a host did in a while.
type loaded struct {
	answers   int
	wall, cpu time.Duration // cpu: of this process, clients and all
}

func (l *loaded) add(m loaded) {
	l.answers, l.wall, l.cpu = l.answers+m.answers, l.wall+m.wall, l.cpu+m.cpu
}

func (l *loaded) perSecond() float64 { return float64(l.answers) / l.wall.Seconds() }

// cpuMicroseconds is what one answer costs.
func (l *loaded) cpuMicroseconds() float64 {
	return float64(l.cpu.Nanoseconds()) / 1000 / float64(l.answers)
}

// load asks a host for a while.
func (b *ocspBench) load(method, host string) (loaded, error) {
	return b.loadWith(func(until time.Time) (int, error) { return b.ask(method, host, until) })
}

// loadWith has several ask for a while at once, over a connection each.
func (b *ocspBench) loadWith(ask func(until time.Time) (answers int, err error)) (loaded, error) {
	counts, errs := make([]int, b.connections), make([]error, b.connections)
	var wg sync.WaitGroup
	begin, cpu := time.Now(), processorTime()
	until := begin.Add(b.slice)
	for i := range b.connections {
		wg.Go(func() { counts[i], errs[i] = ask(until) })
	}
	wg.Wait()
	out := loaded{wall: time.Since(begin), cpu: processorTime() - cpu}
	for _, n := range counts {
		out.answers += n
	}
	return out, errors.Join(append(errs, b.ctx.Err())...)
}

// ask asks over one connection, again and again, about certificates drawn at random. It costs little: a client of net/http
// would take more than the server that is measured.
func (b *ocspBench) ask(method, host string, until time.Time) (n int, err error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 8<<10)
	var out []byte
	for ; time.Now().Before(until); n++ {
		out = appendRequest(out[:0], method, host, b.requests[rand.IntN(len(b.requests))])
		if _, err := conn.Write(out); err != nil {
			return n, err
		}
		if err := readAnswer(in); err != nil {
			return n, fmt.Errorf("answer %d: %w", n, err)
		}
	}
	return n, nil
}

// appendRequest appends an OCSP request as it goes over the wire.
func appendRequest(out []byte, method, host string, der []byte) []byte {
	if method == http.MethodGet {
		out = append(out, "GET "+ocspPrefix+"/"...)
		at := len(out)
		out = base64.StdEncoding.AppendEncode(out, der)
		// As nginx sends it, for one; the equals sign at the end may stay.
		if bytes.ContainsAny(out[at:], "+/") {
			escaped := url.QueryEscape(string(out[at:]))
			out = append(out[:at], escaped...)
		}
		return append(append(append(out, " HTTP/1.1\r\nHost: "...), host...), "\r\n\r\n"...)
	}
	out = append(append(append(out, "POST "+ocspPrefix+" HTTP/1.1\r\nHost: "...), host...), "\r\nContent-Type: application/ocsp-request\r\nContent-Length: "...)
	out = append(strconv.AppendInt(out, int64(len(der)), 10), "\r\n\r\n"...)
	return append(out, der...)
}

var errNoAnswer = errors.New("not a successful OCSP answer")

// readAnswer reads one answer over HTTP and demands that it is a successful one.
func readAnswer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && (len(line) < 13 || !bytes.Equal(line[:7], []byte("HTTP/1.")) || !bytes.Equal(line[8:13], []byte(" 200 "))) { // 1.0 from openssl
			return fmt.Errorf("%w: %q", errNoAnswer, line)
		}
		if len(line) == 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	head, err := in.Peek(7)
	if err != nil || length < 7 {
		return fmt.Errorf("%w: %d octets, %v", errNoAnswer, length, err)
	}
	if !bytes.Equal(head[:2], []byte{0x30, 0x82}) || !bytes.Equal(head[4:], []byte{0x0a, 0x01, 0x00}) { // OCSPResponse of status successful
		return fmt.Errorf("%w: %x", errNoAnswer, head)
	}
	_, err = in.Discard(length)
	return err
}
