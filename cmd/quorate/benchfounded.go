package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
)

// bench is a consortium to measure, founded for the purpose and filled with certificates.
type bench struct {
	members, preload int
	filled           func(ders [][]byte) error // gets the preloaded certificates, a block's at a time; may be nil

	ctx    context.Context
	dir    string
	log    io.Writer // progress
	serial int       // of the newest device
	begun  time.Time

	consortium *consortium
	channel    ledger.Hash
	running    []*member
	clients    []*client.Client // of each member
	signer     ledger.Signer
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "%6.1fs  %s\n", time.Since(b.begun).Seconds(), fmt.Sprintf(format, args...))
}

// establish founds the consortium, fills it, and starts it.
func (b *bench) establish() error {
	b.begun = time.Now()
	g, err := readGenesisFile("", b.members)
	if err != nil {
		return err
	}
	for i := range g.Organisations {
		if o := &g.Organisations[i]; o.LineKeys > 0 {
			o.QuotaDay, o.QuotaTotal = 1e9, 1e9
		}
	}
	dir := filepath.Join(b.dir, "consortium")
	if err := found(dir, g, time.Now()); err != nil {
		return err
	}
	if b.signer, _, err = readSigner(filepath.Join(dir, "orgs", "acme-cells", "line.key")); err != nil {
		return err
	}
	if b.consortium, err = openConsortium(dir, quietLog()); err != nil {
		return err
	}
	genesis, err := ledger.ParseBlock(b.consortium.genesis)
	if err != nil {
		return err
	}
	b.channel = genesis.Txs[0].ID
	if err := b.fill(); err != nil {
		return fmt.Errorf("filling the state: %w", err)
	}
	b.say("starting %s", count(b.members, "member"))
	if b.running, err = b.consortium.start(b.ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	for _, m := range b.running {
		c, err := client.New(client.Config{Nodes: []string{m.url}, Policy: b.consortium.set.Policy(0)})
		if err != nil {
			return errors.Join(err, stopAll(b.running))
		}
		b.clients = append(b.clients, c)
	}
	return nil
}

// devices issues certificates on all cores.
func (b *bench) devices(n int) ([][]byte, error) {
	p, _ := profile.ByName("small-cell")
	ders, errs := make([][]byte, n), make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				serial := fmt.Sprintf("ACME-%08d", b.serial+i+1)
				key, err := ca.GenerateKey(profile.P256, rand.Reader)
				if err == nil {
					ders[i], err = ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, Organisation: "acme-cells",
						DNSNames: []string{strings.ToLower(serial) + ".acme-cells.example"}, NotBefore: b.begun.Truncate(time.Second), Rand: rand.Reader})
				}
				errs[w] = err
			}
		})
	}
	wg.Wait()
	b.serial += n
	return ders, errors.Join(errs...)
}

// transaction publishes certificates.
func (b *bench) transaction(ders [][]byte) ([]byte, error) {
	var bodies [][]byte
	for _, der := range ders {
		bodies = append(bodies, ledger.EncodeBody(ledger.OpPublish, ledger.Publish{Profile: 1, Certificate: der}))
	}
	return b.signed(bodies, b.signer)
}

// signed makes a transaction of operations.
func (b *bench) signed(bodies [][]byte, signers ...ledger.Signer) ([]byte, error) {
	tx := ledger.Tx{Channel: b.channel, Expiry: ledger.MillisOf(time.Now().Add(time.Hour))}
	rand.Read(tx.Nonce[:])
	s, err := ledger.SignTx(tx, bodies, ledger.ForLedger, signers...)
	if err != nil {
		return nil, err
	}
	return s.Encode(), nil
}

// submit sends a transaction to a member, again while it is busy, and demands that all of it
// is accepted.
func (b *bench) submit(at int, raw []byte) (ledger.Result, error) {
	for {
		res, err := b.clients[at%len(b.clients)].Submit(b.ctx, raw)
		if errors.Is(err, ledger.ErrBusy) {
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-b.ctx.Done():
			}
		}
		for _, v := range res.Verdicts {
			if v.Code != reason.Accepted {
				return res, fmt.Errorf("an operation was refused: %s", v.Code)
			}
		}
		return res, err
	}
}

// level waits until every member is final at a height.
func (b *bench) level(height uint64) error {
	for _, m := range b.running {
		for {
			h, err := m.node.Head(b.ctx)
			if err != nil {
				return err
			}
			if h.Height >= height {
				break
			}
			select {
			case <-time.After(time.Millisecond):
			case <-b.ctx.Done():
				return b.ctx.Err()
			}
		}
	}
	return nil
}
