package tlog

import (
	"encoding/binary"
	"fmt"
	"math"
)

// AppendBundleEntry appends an entry to a bundle: a big-endian u16 length and the entry (c2sp.org/tlog-tiles, "Log
// entries"). An entry has at most 65,535 bytes; of a longer one nothing is written.
func AppendBundleEntry(dst, entry []byte) ([]byte, error) {
	if len(entry) > math.MaxUint16 {
		return dst, fmt.Errorf("appending to a bundle: an entry of %d bytes, at most %d fit", len(entry), math.MaxUint16)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(entry)))
	return append(dst, entry...), nil
}

// SplitBundle takes a bundle apart. The entries share memory with data. A bundle has at most 256 entries; the caller
// compares their number with the tile's width.
func SplitBundle(data []byte) ([][]byte, error) {
	var entries [][]byte
	for len(data) > 0 {
		if len(entries) == TileWidth {
			return nil, fmt.Errorf("splitting a bundle: more than %d entries", TileWidth)
		}
		if len(data) < 2 {
			return nil, fmt.Errorf("splitting a bundle: entry %d: half a length", len(entries))
		}
		n := int(binary.BigEndian.Uint16(data))
		if n > len(data)-2 {
			return nil, fmt.Errorf("splitting a bundle: entry %d: %d bytes of %d", len(entries), len(data)-2, n)
		}
		entries = append(entries, data[2:2+n:2+n])
		data = data[2+n:]
	}
	return entries, nil
}
