package tlog

import (
	"crypto/ed25519"
	"encoding/binary"
	"math"
	"strconv"
)

// timeSize is the length of the time in a cosignature, big-endian seconds.
const timeSize = 8

// SignCheckpoint is a log's signature: Ed25519 over the body, type 0x01, under the name origin, which is c.Origin; it
// does not verify under another.
func SignCheckpoint(c Checkpoint, origin string, key ed25519.PrivateKey) Signature {
	v := VKey{Name: origin, Type: TypeLog, Public: key.Public().(ed25519.PublicKey)}
	return Signature{Name: origin, ID: v.ID(), Bytes: ed25519.Sign(key, []byte(c.Body()))}
}

// VerifyLogSignature reports whether s is the signature of the log c.Origin on c by the key v.
func VerifyLogSignature(c Checkpoint, v VKey, s Signature) bool {
	return v.Type == TypeLog && v.Name == c.Origin && v.made(s) &&
		len(v.Public) == ed25519.PublicKeySize &&
		ed25519.Verify(v.Public, []byte(c.Body()), s.Bytes)
}

// Cosign is a cosigner's statement, type 0x04, that at time (seconds since 1970, 1 to 2^63-1) c is the largest tree that
// it has seen of this log, consistent with all it signed before. The statement does not name its signer
// (c2sp.org/tlog-cosignature), so a key must never cosign under two names.
func Cosign(c Checkpoint, name string, time uint64, key ed25519.PrivateKey) Signature {
	v := VKey{Name: name, Type: TypeCosignature, Public: key.Public().(ed25519.PublicKey)}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, timeSize+ed25519.SignatureSize), time)
	return Signature{Name: name, ID: v.ID(), Bytes: append(b, ed25519.Sign(key, cosigned(c, time))...)}
}

// VerifyCosignature reports whether s is a cosignature on c by the key v, and its time in seconds since 1970. A time of
// 0 or of more than 63 bits never verifies. Whether the time is plausible is for the caller to say, who has a clock.
func VerifyCosignature(c Checkpoint, v VKey, s Signature) (time uint64, ok bool) {
	if v.Type != TypeCosignature || !v.made(s) || len(v.Public) != ed25519.PublicKeySize ||
		len(s.Bytes) != timeSize+ed25519.SignatureSize {
		return 0, false
	}
	time = binary.BigEndian.Uint64(s.Bytes)
	if time == 0 || time > math.MaxInt64 || !ed25519.Verify(v.Public, cosigned(c, time), s.Bytes[timeSize:]) {
		return 0, false
	}
	return time, true
}

// cosigned is the message of an Ed25519 cosignature. Its second line keeps it apart from every checkpoint body.
func cosigned(c Checkpoint, time uint64) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatUint(time, 10) + "\n" + c.Body())
}
