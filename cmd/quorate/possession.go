package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/internal/reason"
	"github.com/quorate-pki/quorate/ledger"
)

// possession is how a step gets the signature of a device's key: by the key's file, or from where the key is, by a challenge that is
// written here, signed there, and brought back.
type possession struct {
	key, challenge, proof string
}

func (p *possession) flags(cmd *cobra.Command, flag, whose string) {
	f := cmd.Flags()
	f.StringVar(&p.key, flag, "", "file of "+whose+" key, where it can be read")
	f.StringVar(&p.challenge, "challenge", "", "write what "+whose+" key must sign to this file, and do no more")
	f.StringVar(&p.proof, "proof", "", "file with the signature by "+whose+" key over the challenge: of quorate device prove, or any other (ECDSA as DER or r||s)")
}

// ways counts what was given, of which exactly one must be.
func (p *possession) ways() (n int) {
	for _, s := range []string{p.key, p.challenge, p.proof} {
		if s != "" {
			n++
		}
	}
	return n
}

var coseAlgs = map[profile.KeyKind]struct {
	alg  int64
	size int // of r and of s
}{profile.P256: {ledger.AlgES256, 32}, profile.P384: {ledger.AlgES384, 48}, profile.Ed25519: {ledger.AlgEdDSA, 0}, profile.RSA: {ledger.AlgPS256, 0}}

// sign returns the proof of possession for a step of an organisation, by the key with this SPKI. Not done: the challenge was written.
func (p *possession) sign(message, spki []byte) (alg int64, sig []byte, done bool, err error) {
	if p.challenge != "" {
		return 0, nil, false, replaceFile(p.challenge, message)
	}
	key, err := profile.ParseSPKI(spki)
	if err != nil {
		return 0, nil, false, err
	}
	if p.proof != "" {
		if sig, err = readSmall(p.proof, 2048); err != nil {
			return 0, nil, false, err
		}
		way := coseAlgs[key.Kind]
		if sig, err = ledger.ProofBytes(sig, way.size); err != nil || !key.VerifyCOSE(way.alg, message, sig) {
			return 0, nil, false, reason.New(reason.PossessionProof, "%s", p.proof)
		}
		return way.alg, sig, true, nil
	}
	s, own, err := readSigner(p.key)
	if err != nil {
		return 0, nil, false, err
	}
	if !bytes.Equal(own, spki) {
		return 0, nil, false, usage{fmt.Errorf("%s: another key than the certificate's", p.key)}
	}
	sig, err = s.SignCOSE(message)
	return s.Alg(), sig, true, err
}

func newClaim() *cobra.Command {
	var v lifeStep
	var p possession
	cmd := &cobra.Command{
		Use:   "claim --node URL --policy FILE --signer KEY... (--device-key KEY | --challenge FILE | --proof FILE) CERT",
		Short: "Take a device into use",
		Long: `Take a device into use: the operator that holds it signs, and the device shows that it has its key, by a signature that counts once and
for nobody else. Where the key cannot be read, --challenge writes what it must sign; quorate device prove, or any tool, signs it on the
device; --proof brings the signature back. The claim has a status of its own, which quorate revoke --scope custody ends.`,
		Example: `  quorate device claim --node http://127.0.0.1:8440 --policy q/policy --device-key dev1/key.pem \
    --signer q/orgs/op-one/admin-1.key --signer q/orgs/op-one/admin-2.key dev1/cert.pem`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if p.ways() != 1 {
				return usage{errors.New("exactly one of --device-key, --challenge and --proof; see quorate device claim --help")}
			}
			if p.challenge != "" {
				v.offer = "" // nothing is signed yet
				v.signers = nil
			}
			return v.claim(cmd, files[0], &p)
		},
	}
	v.flags(cmd)
	p.flags(cmd, "device-key", "the device's")
	return cmd
}

func (v *lifeStep) claim(cmd *cobra.Command, file string, p *possession) error {
	if err := v.openFor(cmd, p); err != nil {
		return err
	}
	d, err := v.device(cmd.Context(), file)
	if err != nil {
		return err
	}
	if d.spki == nil {
		return reason.New(reason.KeySuperseded, "%s", file)
	}
	step := &ledger.Claim{Target: d.key, Previous: d.life.Next, SPKI: d.spki}
	message, err := v.message(step, d.life.Holder)
	if err != nil {
		return err
	}
	done := false
	if step.Alg, step.Proof, done, err = p.sign(message, d.spki); err != nil || !done {
		return v.challenged(p, err)
	}
	return v.do(cmd.Context(), []ledger.LifeStep{step}, []*device{d}, d.life.Holder)
}

// openFor is open, without keys when only a challenge is written.
func (v *lifeStep) openFor(cmd *cobra.Command, p *possession) (err error) {
	if p.challenge == "" {
		return v.open(cmd)
	}
	v.out = cmd.OutOrStdout()
	if v.c, err = v.client(); err != nil {
		return err
	}
	v.channel, err = v.c.Channel(cmd.Context())
	return err
}

// message is what a key signs to show that it is there, for an organisation by its id.
func (v *lifeStep) message(step ledger.LifeStep, org string) ([]byte, error) {
	id, err := orgID(org)
	if err != nil {
		return nil, err
	}
	return ledger.ProofMessage(v.channel, id, step), nil
}

func (v *lifeStep) challenged(p *possession, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(v.out, "challenge  %s\n", p.challenge)
	return nil
}

func newProve() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use:   "prove --key KEY --out FILE CHALLENGE",
		Short: "Sign a challenge, to show that this key is here",
		Long: `Sign a challenge that quorate device claim or rekey wrote, where the device's key is. Needs no network. Only such a challenge is signed,
and what it is good for is said.`,
		Example: "  quorate device prove --key dev1/key.pem --out dev1.proof dev1.challenge",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if err := needs(map[string]string{"key": key, "out": out}); err != nil {
				return err
			}
			message, err := readSmall(a[0], 4096)
			if err != nil {
				return err
			}
			said, err := readChallenge(message)
			if err != nil {
				return usage{fmt.Errorf("%s: %w", a[0], err)}
			}
			s, _, err := readSigner(key)
			if err != nil {
				return err
			}
			sig, err := s.SignCOSE(message)
			if err != nil {
				return err
			}
			if err := os.WriteFile(out, sig, 0o644); err != nil {
				return usage{err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "proof  %s  %s\n", out, said)
			return nil
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the device's key file")
	cmd.Flags().StringVar(&out, "out", "", "where the signature goes")
	return cmd
}

// readChallenge says what a challenge is good for, and refuses any other bytes: a key signs nothing that somebody could use elsewhere.
func readChallenge(message []byte) (string, error) {
	rest, ok := bytes.CutPrefix(message, []byte(ledger.ProofContext))
	if !ok || len(rest) != 32+1+16+32+8 {
		return "", errors.New("not a challenge")
	}
	channel, op, org, target, previous := rest[:32], ledger.Op(rest[32]), rest[33:49], rest[49:81], binary.BigEndian.Uint64(rest[81:])
	if op != ledger.OpClaim && op != ledger.OpRekey {
		return "", errors.New("not a challenge")
	}
	return fmt.Sprintf("for a %s by organisation %s, of key %s, after leaf %d, in channel %s", op, hex.EncodeToString(org),
		hex.EncodeToString(target), previous, hex.EncodeToString(channel)), nil
}
