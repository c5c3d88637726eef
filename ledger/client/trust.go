package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"

	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// trusting verifies checkpoints by the member sets that the client knows, and asks the nodes for newer ones when none of those will
// do. Nothing is taken from a node but what leads, signature by signature, from the policy's own member set to the newest.
type trusting struct {
	ctx context.Context
	c   *Client
}

// trust is for one call.
func (c *Client) trust(ctx context.Context) tlog.NoteVerifier { return trusting{ctx, c} }

// Verify implements tlog.NoteVerifier.
func (t trusting) Verify(note []byte) (*tlog.Verified, error) {
	v, err := t.c.Trust().Verify(note)
	if code, _ := reason.CodeOf(err); code != reason.QuorumNotReached && code != reason.NoLogSignature {
		return v, err
	}
	if no := t.c.FollowMembers(t.ctx); no != nil {
		return nil, fmt.Errorf("%w (looking for newer member sets: %v)", err, no)
	}
	return t.c.Trust().VerifyHandover(note)
}

// Trust is the policy and the member sets that are known to follow its own.
func (c *Client) Trust() *verify.Trust { return c.known.Load() }

// FollowMembers asks for the member sets that follow the policy's, and trusts them from now on if they are proved to.
func (c *Client) FollowMembers(ctx context.Context) error {
	links, err := c.MemberLinks(ctx)
	if err != nil {
		return err
	}
	next, err := c.Trust().Follow(links)
	if err != nil {
		return err
	}
	for {
		known := c.known.Load()
		if m := known.Members(); m != nil && m.Number >= next.Members().Number || c.known.CompareAndSwap(known, next) {
			return nil
		}
	}
}

// MemberLinks are the member sets that were in force, oldest first, from the policy's on when that says which it is; told, not proved:
// verify.Trust and ledger.Walk prove them.
func (c *Client) MemberLinks(ctx context.Context) ([]ledger.MemberSetLink, error) {
	var after []byte
	if c.cfg.Policy != nil && c.cfg.Policy.Set != nil {
		after = binary.BigEndian.AppendUint64(nil, c.cfg.Policy.Set.Number-1)
	}
	return c.memberLinks(ctx, after)
}

// memberLinks are those whose records come after a key.
func (c *Client) memberLinks(ctx context.Context, after []byte) ([]ledger.MemberSetLink, error) {
	var links []ledger.MemberSetLink
	for rec, err := range c.Records(ctx, ledger.RecordMemberSet, nil, after) {
		if err != nil {
			return nil, err
		}
		var r ledger.MemberSetRecord
		if err := ledger.Decode(rec.Value, &r); err != nil || len(links) == ledger.MaxMemberLinks {
			return nil, untrusted("the member sets do not decode, or are more than %d", ledger.MaxMemberLinks)
		}
		links = append(links, r.Link())
	}
	if len(links) > 0 {
		return links, nil
	}
	first, err := c.foundingMembers(ctx)
	if err != nil {
		return nil, err
	}
	return []ledger.MemberSetLink{{Document: first, Signatures: []ledger.MemberSignature{}}}, nil
}

// foundingMembers is the first member-set document, from leaf 1; told.
func (c *Client) foundingMembers(ctx context.Context) (document []byte, err error) {
	_, err = c.ask(ctx, http.MethodGet, c.v1("/entries/1"), "", nil, func(raw []byte) error {
		entry, err := ledger.ParseEntry(raw)
		if err != nil || entry.Op == nil || len(entry.Op.Body) > ledger.MaxBody {
			return untrusted("leaf 1 is not the founding of a consortium")
		}
		_, args, err := ledger.ParseBody(entry.Op.Body)
		founding, ok := args.(*ledger.Consortium)
		if err != nil || !ok {
			return untrusted("leaf 1 is not the founding of a consortium")
		}
		document = founding.MemberSet
		return nil
	})
	return document, err
}

// members fetches the member-set document in force at an epoch. Whoever sends another is found out by its hash.
func (c *Client) members(ctx context.Context, e *verify.Epoch) (*ledger.MemberSet, error) {
	return c.MembersOf(ctx, e.MemberSet, e.Members)
}

// MembersOf finds the member-set document of a hash, for proved to check: Members of the Epoch or Standing that names it.
func (c *Client) MembersOf(ctx context.Context, document ledger.Hash, proved func(document []byte) (*ledger.MemberSet, error)) (*ledger.MemberSet, error) {
	return elsewhere(c, func() (*ledger.MemberSet, error) {
		links, err := c.MemberLinks(ctx)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if ledger.Sum(l.Document) == document {
				return proved(l.Document)
			}
		}
		return proved(links[len(links)-1].Document) // which says that it is another
	})
}

// MembersInForce proves which member set is in force, as of an epoch whose age is the caller's to judge, and returns the way to it from the
// policy's own. A node that keeps the newest sets back is found out by the epoch, which names the one in force.
func (c *Client) MembersInForce(ctx context.Context) (*ledger.MemberSet, []ledger.MemberSetLink, *verify.Epoch, error) {
	type found struct {
		set   *ledger.MemberSet
		links []ledger.MemberSetLink
		epoch *verify.Epoch
	}
	f, err := elsewhere(c, func() (found, error) {
		if err := c.FollowMembers(ctx); err != nil {
			return found{}, err
		}
		links, err := c.MemberLinks(ctx)
		if err != nil {
			return found{}, err
		}
		raw, err := c.get(ctx, c.v1("/epoch"))
		if err != nil {
			return found{}, err
		}
		epoch, err := verify.LastEpoch(c.trust(ctx), raw)
		if err != nil {
			return found{}, err
		}
		set := c.Trust().Members()
		if ledger.Sum(ledger.Encode(set)) != epoch.MemberSet {
			return found{}, untrusted("the epoch at leaf %d has another member set in force than number %d", epoch.Leaf, set.Number)
		}
		return found{set, links, epoch}, nil
	})
	return f.set, f.links, f.epoch, err
}

// LastMemberNumber is the greatest number that any member of the sets that a node tells ever had.
func (c *Client) LastMemberNumber(ctx context.Context) (last uint64, err error) {
	links, err := c.memberLinks(ctx, nil)
	for _, l := range links {
		m, no := ledger.ParseMemberSetStrict(l.Document)
		if no != nil {
			return 0, no
		}
		for _, x := range m.Members {
			last = max(last, x.Number)
		}
	}
	return last, err
}
