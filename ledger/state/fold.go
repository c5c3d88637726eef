package state

import (
	"crypto"
	_ "crypto/sha1" // of CertIDs
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"maps"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/tlog"
)

// ErrBadLeaves means that leaves cannot have come from an honest execution: what was fetched is not the log.
var ErrBadLeaves = errors.New("the leaves do not fold")

// Fold applies the leaves of one block, without judging. It checks what leaves alone can show: that the header
// follows and its payload hash is over the block's envelopes, that operations are those their transactions accepted, that
// effects fit their operations, and that the status root is the epoch's. Whether the rules were kept is in the cosignatures.
func Fold(parent *State, leaves [][]byte) (*State, error) {
	if len(leaves) == 0 {
		return nil, fmt.Errorf("%w: a block without leaves", ErrBadLeaves)
	}
	last, err := ledger.ParseEntry(leaves[len(leaves)-1])
	if err != nil || last.Epoch == nil {
		return nil, fmt.Errorf("%w: the block does not end in an epoch entry (%v)", ErrBadLeaves, err)
	}
	h, err := last.Epoch.Header.Decode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadLeaves, err)
	}
	if err := parent.CheckHeader(h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadLeaves, err)
	}
	r := &reader{folder: newFolder(parent.next(len(leaves)))}
	r.head, r.headHash = h, last.Epoch.Header.Hash()
	if err := r.enactDue(); err != nil {
		return nil, err
	}
	for _, raw := range leaves[:len(leaves)-1] {
		if err := r.leaf(raw); err != nil {
			return nil, err
		}
	}
	if err := r.end(last.Epoch); err != nil {
		return nil, err
	}
	return r.st, r.epoch(last.Epoch, leaves[len(leaves)-1])
}

// folder applies the leaves of one block to one layer.
type folder struct {
	st       *State
	first    uint64
	head     *ledger.Header
	headHash ledger.Hash
	tx       *ledger.Envelope // whose operations are folded
	dirty    map[uint64]bool  // status chunks written in this block

	cuts []ledger.CutEffect // that the operation folded last brought
}

func newFolder(st *State) *folder {
	return &folder{st: st, first: st.Size(), dirty: map[uint64]bool{}}
}

func (f *folder) header(b *ledger.Block) { f.head, f.headHash = b.Header, b.Hash }

// fork starts an attempt at so many operations that adopt keeps and dropping forgets.
func (f *folder) fork(operations int) *folder {
	c := *f
	c.st = f.st.next(operations)
	c.dirty = map[uint64]bool{}
	return &c
}

func (f *folder) adopt(c *folder) {
	if len(f.st.writes) == 0 {
		f.st.writes = c.st.writes // as in most blocks that are full: one transaction
	} else {
		maps.Copy(f.st.writes, c.st.writes)
	}
	for k, u := range c.st.counts {
		f.st.counts[k] = u
	}
	for n := range c.dirty {
		f.dirty[n] = true
	}
	f.st.registry, f.st.channel, f.cuts = c.st.registry, c.st.channel, c.cuts
}

// append adds a leaf to the tree.
func (f *folder) append(raw []byte) { f.st.frontier.Append(tlog.LeafHash(raw)) }

// transaction remembers a transaction, and what it asked for in vain, and adds its leaf.
func (f *folder) transaction(env *ledger.Envelope, codes []reason.Code, raw []byte) {
	if f.st.Size() == 0 {
		f.st.channel.Channel = env.ID
	}
	f.st.put(ledger.RecordTx, env.ID[:], ledger.TxRecord{Leaf: f.st.Size(), Height: f.head.Height})
	for i, c := range codes {
		if !c.OK() {
			f.st.put(ledger.RecordRefusal, ledger.RefusalKey(env.Tx.Bodies[i], f.st.Size(), uint16(i)), ledger.Refusal{Code: c})
		}
	}
	f.append(raw)
}

// operation folds an accepted operation that has, or will have, the leaf index at.
func (f *folder) operation(l *ledger.OpLeaf, x *Examined, at uint64) error {
	var err error
	f.cuts = nil
	switch a := x.Args.(type) {
	case *ledger.Publish:
		err = f.publish(l, a, x, at)
	case *ledger.StatusChange:
		err = f.statusChange(l, a, at)
	case *ledger.Propose, *ledger.Vote, *ledger.Withdraw:
		err = f.governed(l, x.Args, at)
	case *ledger.OrganisationChange:
		err = f.foldAdmins(l, a, at)
	case *ledger.NamespaceChange:
		err = f.foldTakeBack(l, a, at)
	case *ledger.CutOff:
		err = f.foldCutOff(l, a, at)
	case *ledger.Channel:
		err = f.channelRestated(l, a, at)
	case ledger.LifeStep:
		err = f.lifeStep(l, a, x, at)
	default:
		err = f.register(l, x.Args, at)
	}
	if err != nil {
		return fmt.Errorf("folding leaf %d: %w", at, err)
	}
	// The folds above held the runs to leaves that have a status.
	for _, r := range l.Effects.Runs {
		f.dirty[r.First/ledger.ChunkLeaves] = true
		if err := f.st.setStatus(r.First, r.Status); err != nil {
			return fmt.Errorf("folding leaf %d: %w", at, err)
		}
	}
	return nil
}

func (f *folder) publish(l *ledger.OpLeaf, p *ledger.Publish, x *Examined, at uint64) error {
	e, cert := &l.Effects, x.Certificate
	if cert == nil {
		return fmt.Errorf("%w: %w", ErrBadLeaves, x.NoParse)
	}
	if e.Owner == nil || e.Voucher == nil || e.Device == nil {
		return fmt.Errorf("%w: a publication without owner, voucher or device", ErrBadLeaves)
	}
	if len(e.Runs) != 1 || e.Runs[0] != (ledger.Run{First: at, Count: 1, Status: ledger.Good}) {
		return fmt.Errorf("%w: a publication gives its own leaf the status good and no other", ErrBadLeaves)
	}
	if err := f.bind(l, p, cert, at); err != nil {
		return err
	}
	spki := x.SPKI
	k, err := f.st.KeyRecord(spki)
	if err != nil {
		return err
	}
	if k != nil {
		taken, err := f.st.certIDTaken(cert)
		if err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("%w: a CertID published twice", ErrBadLeaves)
		}
	}
	if k == nil {
		k = &ledger.KeyRecord{Owner: *e.Owner, Device: *e.Device}
		f.st.write(ledger.RecordDevice, e.Device[:], ledger.DeviceRecord{Leaf: at}.Encode())
	}
	switch {
	case k.Owner != *e.Owner || k.Device != *e.Device || len(k.Certificates) >= ledger.MaxCertificatesPerKey:
		return fmt.Errorf("%w: the key is another owner's or device's, or has all its certificates", ErrBadLeaves)
	case k.Retired || k.Successor != nil:
		return fmt.Errorf("%w: a publication for a key that has no device any more", ErrBadLeaves)
	case !sameOrg(e.Custodian, k.Custodian):
		return fmt.Errorf("%w: a publication that names another custodian than the device has", ErrBadLeaves)
	}
	return f.certify(k, e, x, at)
}

// certify adds the certificate published at a leaf to its key's record, and indexes and counts it.
func (f *folder) certify(k *ledger.KeyRecord, e *ledger.Effects, x *Examined, at uint64) error {
	cert := x.Certificate
	info := ledger.CertificateInfo{Leaf: at, TBS: ledger.Sum(cert.TBS), DER: ledger.Sum(cert.Raw), Published: e.Time,
		Standing: ledger.Standing{Status: ledger.Good, Cause: at, Since: e.Time}}
	counted := [][]byte{e.Owner[:]}
	if e.Voucher != nil {
		info.Voucher, counted = *e.Voucher, [][]byte{e.Voucher[:], e.Owner[:]}
	}
	k.Certificates = append(k.Certificates, info)
	f.st.write(ledger.RecordKey, x.SPKI[:], k.Encode())
	rec := ledger.PublicationRecord{Leaf: at, Key: x.SPKI, Owner: *e.Owner, Device: *e.Device, TBS: info.TBS, DER: info.DER,
		Voucher: info.Voucher, Published: e.Time, Issuer: cert.Issuer, KeyBits: cert.KeyBits}
	f.st.write(ledger.RecordPublication, ledger.PublicationKey(at), rec.Encode())
	if err := f.certIDs(cert, at); err != nil {
		return err
	}
	for i, key := range counted {
		u, err := f.st.usage(key, e.Time.Day())
		if err != nil {
			return err
		}
		u.Published, u.Total = u.Published+1, u.Total+1
		if i == 0 {
			f.vouched(key, &u, at)
		}
		f.st.count(key, u)
	}
	return nil
}

// sameOrg compares an organisation in effects, absent for nobody, with one in a record, zero for nobody.
func sameOrg(e *ledger.OrgID, r ledger.OrgID) bool {
	if e == nil {
		return r.IsZero()
	}
	return *e == r && !r.IsZero()
}

// certIDs indexes the certificate under the CertIDs that OCSP clients name it by (RFC 6960 section 4.1.1); a
// self-issued certificate is its own issuer.
func (f *folder) certIDs(cert *profile.Certificate, at uint64) error {
	rec := ledger.CertIDRecord{Leaf: at}.Encode()
	first := ledger.SerialKey(cert.Serial)
	taken, err := f.st.raw(ledger.RecordCertID, first)
	if err != nil {
		return err
	}
	if taken == nil {
		f.st.write(ledger.RecordCertID, first, rec)
		return nil
	}
	for alg, hash := range ledger.CertIDAlgorithms() {
		f.st.write(ledger.RecordCertID, ledger.CertIDKey(alg, digest(hash, cert.Issuer), digest(hash, cert.KeyBits), cert.Serial), rec)
	}
	return nil
}

func digest(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// certIDTaken looks for one form of the CertID; the other forms clash exactly when it does.
func (s *State) certIDTaken(cert *profile.Certificate) (bool, error) {
	const alg, hash = 2, crypto.SHA256
	p, err := ledger.FindCertID(s.raw, alg, digest(hash, cert.Issuer), digest(hash, cert.KeyBits), cert.Serial)
	return p != nil, err
}

func (f *folder) statusChange(l *ledger.OpLeaf, c *ledger.StatusChange, at uint64) error {
	k, err := f.st.KeyRecord(c.Target)
	if err != nil {
		return err
	}
	if k == nil {
		return fmt.Errorf("%w: a status change of an unknown key", ErrBadLeaves)
	}
	if err := fits(l.Effects.Runs, k, c); err != nil {
		return err
	}
	if bars(c) {
		k.Barred = true
	}
	for _, t := range targets(k, c) {
		for _, r := range l.Effects.Runs {
			if t.leaf < r.First || t.leaf-r.First >= r.Count {
				continue
			}
			// Revoking a key bars it even when its certificates are revoked already; their first reason stands.
			if t.Status == ledger.Revoked && c.Reason != ledger.KeyCompromise {
				continue
			}
			if t.Status == ledger.Revoked {
				// A worse reason for what is revoked already: since when, and by whom, stays. Who has the key could
				// otherwise move the date of its revocation forward.
				t.Cause, t.Reason = at, c.Reason
				continue
			}
			*t.Standing = ledger.Standing{Status: r.Status, Cause: at, Since: l.Effects.Time, Reason: c.Reason, Authority: l.Effects.Authority}
			if r.Status == ledger.Good {
				t.Reason, t.Authority = 0, 0
			}
		}
	}
	f.changed(l.Effects.Runs, at)
	f.st.write(ledger.RecordKey, c.Target[:], k.Encode())
	if l.Effects.Authority == ledger.ByLineKey && l.Effects.Voucher != nil {
		u, err := f.st.usage(l.Effects.Voucher[:], l.Effects.Time.Day())
		if err != nil {
			return err
		}
		u.Suspended++
		f.st.count(l.Effects.Voucher[:], u)
	}
	return nil
}

// changed remembers that a leaf changed the status of others.
func (f *folder) changed(runs []ledger.Run, at uint64) {
	for _, r := range runs { // each of one leaf
		if r.First != at {
			f.st.put(ledger.RecordChange, ledger.ChangeKey(r.First, at), ledger.Change{Status: r.Status})
		}
	}
}

// fits demands one run for each certificate changed, of the key, to the status the action gives.
func fits(runs []ledger.Run, k *ledger.KeyRecord, c *ledger.StatusChange) error {
	to := map[ledger.Action]ledger.Status{ledger.Revoke: ledger.Revoked, ledger.Suspend: ledger.Suspended, ledger.Resume: ledger.Good}[c.Action]
	changed := targets(k, c)
	i := 0
	for _, r := range runs {
		for i < len(changed) && changed[i].leaf != r.First {
			i++
		}
		if i == len(changed) || r.Count != 1 || r.Status != to {
			return fmt.Errorf("%w: a status change with effects that are not its own", ErrBadLeaves)
		}
		i++
	}
	if len(runs) == 0 {
		return fmt.Errorf("%w: a status change without effect", ErrBadLeaves)
	}
	return nil
}

// settle ends the block's transactions: what is in force from the next height on is what the epoch names.
func (f *folder) settle() {
	if c := &f.st.channel; c.NextRules != 0 {
		c.Rules, c.NextRules = c.NextRules, 0
	}
}

// statusRoot computes the root over the status of all leaves before the epoch leaf, which comes next.
func (f *folder) statusRoot() (ledger.Hash, error) {
	n := ledger.Chunks(f.st.Size())
	changes := make(map[uint64]ledger.Hash, len(f.dirty)+1)
	for i := f.st.chunks.Len(); i < n; i++ {
		f.dirty[i] = true
	}
	for i := range f.dirty {
		c, err := f.st.chunk(i)
		if err != nil {
			return ledger.Hash{}, err
		}
		changes[i] = tlog.LeafHash(c[:])
	}
	f.st.chunks = f.st.chunks.Overlay(changes, n)
	return f.st.chunks.Root(), nil
}

// epoch ends the block.
func (f *folder) epoch(e *ledger.Epoch, raw []byte) error {
	at := f.st.Size()
	f.append(raw)
	f.st.writeCounts()
	f.beginMembers()
	c := &f.st.channel
	c.Log, c.Height, c.Header, c.View, c.Time, c.Size = f.head.Log, f.head.Height, f.headHash, f.head.View, f.head.Time, f.st.Size()
	f.st.put(ledger.RecordHeight, Uint64Key(f.head.Height),
		ledger.BlockRecord{First: f.first, Epoch: at, Header: f.headHash, Time: f.head.Time})
	f.st.put(ledger.RecordChannel, nil, *c)
	return nil
}
