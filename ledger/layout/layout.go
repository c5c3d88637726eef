// Package layout says what a node's directory holds: the names of its files, and the one record of its index that no
// leaf gives. ledger/node writes them, ledger/fsck reads them without trusting the node.
//
//	genesis.block                the signed genesis block
//	signer                       signer memory (ledger/cosign)
//	rejoin                       there while a wiped member has not signed again; also orderer/rejoin, for elections
//	LOCK                         held while a node runs
//	log/<n>/checkpoint           the newest cosigned checkpoint
//	log/<n>/tile/...             full entry bundles and full hash tiles, under their C2SP paths
//	log/<n>/edge                 u64 bundle number, then the entries of the bundle that is not full, in bundle form
//	index/                       Pebble: records of the final state, and Final under FinalKey
//	evidence/<member>-<size>     a cosignature that contradicts this log, as a note
//	orderer/                     what the ordering engine keeps
//	*.tmp                        left by a crash inside durable.Replace; overwritten by the next one
package layout

import (
	"fmt"
	"path"

	"github.com/quorate-pki/quorate/ledger"
)

// Names in a node's directory.
const (
	Genesis  = "genesis.block"
	Signer   = "signer"
	Rejoin   = "rejoin"
	Lock     = "LOCK"
	Index    = "index"
	Evidence = "evidence"
	Orderer  = "orderer"
)

// Names in a log's directory.
const (
	Checkpoint = "checkpoint"
	Edge       = "edge"
	EdgeHeader = 8 // bytes before the entries of the edge file
)

// Temporary ends the name of a file that durable.Replace has not renamed yet.
const Temporary = ".tmp"

// Log is the directory of a log, within the node's.
func Log(number uint64) string { return path.Join("log", fmt.Sprint(number)) }

// FinalKey is the key of Final in the index. It sorts before every record kind.
const FinalKey = "\x00final"

// FinalVersion changes with what the records of the index are: one that another build made is not read. It is a fold of the leaves,
// and made anew from a copy of the log's directory.
const FinalVersion = 4

// Final is the one record of the index that is not a fold of leaves: how far a node is final, and by what.
type Final struct {
	Version    uint64      `cbor:"1,keyasint"`
	Height     uint64      `cbor:"2,keyasint"`
	Size       uint64      `cbor:"3,keyasint"`
	Root       ledger.Hash `cbor:"4,keyasint"`
	Index      uint64      `cbor:"5,keyasint"` // the orderer's
	View       uint64      `cbor:"6,keyasint"`
	Header     ledger.Hash `cbor:"7,keyasint"`
	Checkpoint []byte      `cbor:"8,keyasint"` // cosigned by a quorum; of a larger tree while catching up; empty while genesis awaits its first
}

// ParseFinal decodes the final record.
func ParseFinal(raw []byte) (*Final, error) {
	var f Final
	if err := ledger.Decode(raw, &f); err != nil {
		return nil, fmt.Errorf("reading the final record: %w", err)
	}
	if f.Version != FinalVersion {
		return nil, fmt.Errorf("the index has version %d, this build reads %d: make it anew from the log's directory", f.Version, FinalVersion)
	}
	return &f, nil
}
