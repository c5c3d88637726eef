package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-pki/quorate/ledger"
)

// channels checks the further channels of all members of a founded directory.
func (f *foundedCheck) channels() error {
	members, err := os.ReadDir(filepath.Join(f.dir, channelsName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(f.dir, genesisName))
	if err != nil {
		return nil // told already
	}
	first, err := newChannelOf(raw)
	if err != nil {
		return nil // told already
	}
	for _, m := range members {
		prefix := channelsName + "/" + m.Name() + "/"
		if !slices.Contains(memberNames(first.set), m.Name()) {
			f.differs(prefix, "is no member's")
			continue
		}
		if err := f.channelsOf(m.Name(), filepath.Join(f.dir, channelsName, m.Name()), prefix, first); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.further)) {
		of := f.further[name]
		of.alike("channel " + name + " of ")
		f.findings = append(f.findings, of.findings...)
	}
	return nil
}

// channelsOf checks the further channels of one member: each directory in itself, and the node's data in it.
func (f *foundedCheck) channelsOf(member, dir, prefix string, first *channel) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if base, ok := strings.CutSuffix(name, joining); ok && ledger.ValidName(base) {
			f.note(prefix+name, "is left over from a crash; joining again replaces it")
			continue
		}
		if !e.IsDir() || !ledger.ValidName(name) {
			f.differs(prefix+name, "is no channel's directory")
			continue
		}
		c, err := readChannel(filepath.Join(dir, name), name, first, member)
		if err != nil {
			f.differs(prefix+name, "is not run: %v", err)
			continue
		}
		of := f.further[name]
		if of == nil {
			of = &foundedCheck{dir: f.dir, deep: f.deep}
			if f.further == nil {
				f.further = map[string]*foundedCheck{}
			}
			f.further[name] = of
		}
		findings := len(of.findings)
		if err := of.data(member, c.data, prefix+name+"/"+channelData+"/"); err != nil {
			return err
		}
		f.findings = append(f.findings, of.findings[findings:]...)
		of.findings = of.findings[:findings]
		if g := of.sums[len(of.sums)-1].Genesis; g != nil && !bytes.Equal(g, c.genesis) {
			f.differs(prefix+name+"/"+genesisName, "is not the node's genesis block")
		}
	}
	return nil
}
