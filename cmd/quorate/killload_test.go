package main

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/client"
	"github.com/quorate-pki/quorate/verify"
)

// killLoad are the users: a factory that publishes, an owner that revokes, relying parties that ask. It remembers what they
// were told.
type killLoad struct {
	c      *processes
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex // guards what follows
	published  []*told
	revoked    int
	unknown    int
	histories  int // checked, of one certificate each
	operations int // in them
}

// told is what users were told of one certificate.
type told struct {
	der     []byte
	found   *client.Found
	attempt bool         // to revoke it
	revoked bool         // somebody was told so, with proof
	seen    map[int]bool // members that have said so since
}

func newKillLoad(c *processes) *killLoad {
	l := &killLoad{c: c}
	l.ctx, l.cancel = context.WithCancel(c.ctx)
	return l
}

func (l *killLoad) start() {
	for w := range 2 {
		l.wg.Go(func() { l.publish(w) })
	}
	l.wg.Go(l.revoke)
	l.wg.Go(l.ask)
	l.wg.Go(l.rivals)
}

// progress waits until something more is published than was when it was called.
func (l *killLoad) progress() {
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.published)
	}
	for before := count(); count() == before; {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-l.ctx.Done():
			l.c.t.Fatal("nothing is published any more")
		}
	}
}

func (l *killLoad) stop() {
	l.cancel()
	l.wg.Wait()
}

// client asks members in an order that begins with first.
func (l *killLoad) client(first int, all bool) *client.Client {
	p, err := readPolicy(filepath.Join(l.c.dir, policyName))
	if err != nil {
		l.c.t.Error(err)
		return nil
	}
	var urls []string
	for i := range l.c.members {
		if all || i == 0 {
			urls = append(urls, l.c.members[(first+i)%len(l.c.members)].url)
		}
	}
	cl, err := client.New(client.Config{Nodes: urls, Policy: p, Wait: 20 * time.Second})
	if err != nil {
		l.c.t.Error(err)
	}
	return cl
}

// rest is a short pause between requests; false when the load is over.
func (l *killLoad) rest() bool {
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-l.ctx.Done():
		return false
	}
}

// publish makes devices and publishes them until it is told to stop.
func (l *killLoad) publish(worker int) {
	signer, _, err := readSigner(filepath.Join(l.c.dir, "orgs", "acme-cells", "line.key"))
	if err != nil {
		l.c.t.Error(err)
		return
	}
	cl := l.client(worker, true)
	for n := 0; l.rest(); n++ {
		var items []client.Item
		for k := range 3 {
			der, err := killDevice(fmt.Sprintf("ACME-%d%07d%d", worker+1, n, k))
			if err != nil {
				l.c.t.Error(err)
				return
			}
			items = append(items, client.Item{Name: "device", DER: der})
		}
		channel, err := cl.Channel(l.ctx)
		if err != nil {
			l.untold()
			continue
		}
		out, err := (&client.Publisher{Client: cl, Signer: signer, Profile: 1, Now: time.Now}).Publish(l.ctx, channel, items)
		if err != nil {
			l.untold()
			continue
		}
		l.mu.Lock()
		for i, o := range out {
			switch {
			case o.Err != nil:
				l.unknown++
			case o.Code != reason.Accepted:
				l.c.t.Errorf("a new certificate was refused: %s", o.Code)
			default:
				l.published = append(l.published, &told{der: items[i].DER, found: o.Found, seen: map[int]bool{}})
			}
		}
		l.mu.Unlock()
	}
}

func (l *killLoad) untold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unknown++
}

func killDevice(serial string) ([]byte, error) {
	p, _ := profile.ByName("small-cell")
	key, err := ca.GenerateKey(profile.P256, rand.Reader)
	if err != nil {
		return nil, err
	}
	name, err := ca.DefaultName(serial, "acme-cells.example")
	if err != nil {
		return nil, err
	}
	return ca.SelfIssue(ca.SelfIssueConfig{Profile: p, Key: key, Serial: serial, Organisation: "acme-cells", DNSNames: []string{name},
		NotBefore: time.Now().Truncate(time.Second), Rand: rand.Reader})
}

// any picks a published certificate; fits may change it.
func (l *killLoad) any(fits func(*told) bool) *told {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.published) == 0 {
		return nil
	}
	if x := l.published[mathrand.IntN(len(l.published))]; fits(x) {
		return x
	}
	return nil
}

// revoke revokes some of what was published, each once.
func (l *killLoad) revoke() {
	signers, err := readSigners([]string{filepath.Join(l.c.dir, "orgs", "acme-cells", "admin-1.key"), filepath.Join(l.c.dir, "orgs", "acme-cells", "admin-2.key")})
	if err != nil {
		l.c.t.Error(err)
		return
	}
	cl := l.client(2, true)
	for l.rest() {
		x := l.any(func(x *told) bool {
			again := x.attempt
			x.attempt = true
			return !again
		})
		if x == nil {
			continue
		}
		cert, err := profile.Parse(x.der)
		if err != nil {
			l.c.t.Error(err)
			return
		}
		change := ledger.StatusChange{Action: ledger.Revoke, Scope: ledger.ScopeCertificate, Target: ledger.Sum(cert.SPKI), Leaf: &x.found.Leaf, Reason: ledger.KeyCompromise}
		code, st, err := cl.Change(l.ctx, change, x.found.Leaf, time.Now(), signers...)
		l.mu.Lock()
		switch {
		case err != nil:
			l.unknown++
		case code != reason.Accepted || st.Status != ledger.Revoked:
			l.c.t.Errorf("a revocation was refused: %s", code)
		default:
			x.revoked = true
			l.revoked++
		}
		l.mu.Unlock()
	}
}

// ask asks single members. One that said revoked never says good again, whatever happens to it.
func (l *killLoad) ask() {
	for l.rest() {
		x := l.any(func(*told) bool { return true })
		if x == nil {
			continue
		}
		i := mathrand.IntN(len(l.c.members))
		l.mu.Lock()
		seen := x.seen[i]
		l.mu.Unlock()
		ctx, cancel := context.WithTimeout(l.ctx, time.Second)
		st, err := l.client(i, false).Standing(ctx, x.found.Leaf)
		cancel()
		if err != nil {
			continue // it is down, or behind
		}
		if seen && st.Status != ledger.Revoked {
			l.c.t.Errorf("%s said revoked of leaf %d, and now %s", l.c.members[i].name, x.found.Leaf, st.Status)
		}
		l.mu.Lock()
		if st.Status == ledger.Revoked && !x.attempt {
			l.c.t.Errorf("%s says revoked of leaf %d, and nobody revoked it", l.c.members[i].name, x.found.Leaf)
		}
		x.seen[i] = x.seen[i] || st.Status == ledger.Revoked
		l.mu.Unlock()
	}
}

// check asks every member for everything that anybody was told.
func (l *killLoad) check() {
	l.c.level()
	p, err := readPolicy(filepath.Join(l.c.dir, policyName))
	if err != nil {
		l.c.t.Fatal(err)
	}
	for i, m := range l.c.members {
		cl := l.client(i, false)
		for _, x := range l.published {
			if _, err := verify.Receipt(p, x.found.Receipt, x.der); err != nil {
				l.c.t.Fatalf("a receipt that was given does not verify: %v", err)
			}
			f, err := cl.Find(l.c.ctx, x.der)
			if err != nil || f.Leaf != x.found.Leaf {
				l.c.t.Fatalf("%s does not have leaf %d: %v", m.name, x.found.Leaf, err)
			}
			st, err := cl.Standing(l.c.ctx, x.found.Leaf)
			if err != nil {
				l.c.t.Fatalf("%s on leaf %d: %v", m.name, x.found.Leaf, err)
			}
			if x.revoked && st.Status != ledger.Revoked || !x.attempt && st.Status != ledger.Good {
				l.c.t.Fatalf("%s says %s of leaf %d, told to be revoked: %v", m.name, st.Status, x.found.Leaf, x.revoked)
			}
		}
	}
}
