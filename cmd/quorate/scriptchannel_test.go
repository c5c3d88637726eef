package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
	"github.com/quorate-pki/quorate/ledger/peer"
)

// hides SECRET,... PATH... demands that no file at or below the paths, nor the name of any, has a secret in it: a word, or a
// certificate's file, of which there are many forms. With ! each of them must be found: that the search can find it.
func scriptHides(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: hides SECRET,... PATH...")
	}
	forms, always := map[string][]byte{}, map[string]bool{}
	for _, s := range strings.Split(args[0], ",") {
		if filepath.Ext(s) != ".pem" {
			forms[s], always[s] = []byte(s), true
			continue
		}
		der, err := ca.ReadCertificate(ts.MkAbs(s))
		ts.Check(err)
		cert, err := profile.Parse(der)
		ts.Check(err)
		spki, sum := ledger.Sum(cert.SPKI), ledger.Sum(der)
		for name, form := range map[string][]byte{"DER": der, "key": cert.SPKI, "key id": spki[:], "fingerprint": sum[:], "TBS": cert.TBS,
			"serial number": cert.Serial, "device serial": []byte(cert.DeviceSerial), "DNS name": []byte(cert.DNSNames[0]), "key bits": cert.KeyBits} {
			forms[s+": "+name] = form
			forms[s+": "+name+" in hex"] = []byte(hex.EncodeToString(form))
			forms[s+": "+name+" in base64"] = []byte(base64.StdEncoding.EncodeToString(form))
			always[s+": "+name] = true
		}
	}
	found := map[string]string{}
	search := func(path string, data []byte) {
		for name, form := range forms {
			if bytes.Contains(data, form) {
				found[name] = path
			}
		}
	}
	for _, root := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			search(path, []byte(path[len(ts.MkAbs(".")):]))
			data, err := os.ReadFile(path)
			search(path, data)
			return err
		}))
	}
	for name := range forms {
		switch path, seen := found[name]; {
		case seen && !neg:
			ts.Fatalf("%s is in %s", name, path)
		case !seen && neg && always[name]:
			ts.Fatalf("%s is nowhere", name)
		}
	}
}

// asks NAME ADDRESS MEMBER GENESIS asks MEMBER, at its address for peers, for the checkpoint of the further channel that GENESIS starts, as
// member NAME of q: by that one's TLS key, and as if it were a member of the channel. It must answer, or with ! must not.
func scriptAsks(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: asks NAME ADDRESS MEMBER GENESIS")
	}
	name, address, member := args[0], args[1], args[2]
	read := func(path string) *channel {
		raw, err := os.ReadFile(ts.MkAbs(path))
		ts.Check(err)
		c, err := newChannelOf(raw)
		ts.Check(err)
		return c
	}
	first, of := read("q/"+genesisName), read(args[3])
	if !slices.Contains(memberNames(of.set), name) {
		of.set.Members = append(of.set.Members, first.set.Members[slices.Index(memberNames(first.set), name)])
	}
	key, err := ca.ReadSigner(ts.MkAbs("q/orgs/" + name + "/tls.key"))
	ts.Check(err)
	n, err := peer.New(peer.Config{Members: of.set, Self: name, Key: key, Addresses: map[string]string{member: address}, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Tag: ledger.Sum(of.genesis)})
	ts.Check(err)
	defer n.Close()
	resp, err := n.Client().Get("http://" + member + "/peer/1/checkpoint")
	if err != nil {
		if !neg {
			ts.Fatalf("%v", err)
		}
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if !strings.HasPrefix(string(body), of.set.Origin(0)+"\n") {
		ts.Fatalf("%s answers %q", member, body)
	}
	if neg {
		ts.Fatalf("%s answers %s, which is no member", member, name)
	}
}
