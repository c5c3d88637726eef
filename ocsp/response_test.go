package ocsp

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"testing"
	"time"
)

// TestEncodeResponseData compares with octets written down by hand from RFC 6960 section 4.2.1.
func TestEncodeResponseData(t *testing.T) {
	at := time.Date(2026, 11, 24, 1, 2, 3, 999_999_999, time.FixedZone("east", 3600)) // 00:02:03.99 UTC
	next := at.Add(time.Minute)
	const this, until = "180f32303236313132343030303230335a", "180f32303236313132343030303330335a"
	const epoch = "180f31393730303130313030303030305a"
	id := []byte{0x30, 0x00}
	add := func(s certStatus, reason int) singleResponse {
		return singleResponse{certID: id, status: s, revokedAt: at, reason: reason, thisUpdate: at, nextUpdate: next}
	}
	times := this + "a011" + until
	var w writer
	w.responseData(&responseData{
		keyHash:    []byte{0xaa, 0xbb},
		producedAt: at,
		responses: []singleResponse{
			add(statusGood, 0), add(statusRevoked, 1), add(statusRevoked, 0), add(statusUnknown, 0), add(statusNonIssued, 0),
		},
		nonce: []byte{1, 2, 3},
	})
	got, err := w.written()
	if err != nil {
		t.Fatal(err)
	}
	want := "30820153" + "a2040402aabb" + this +
		"3082010f" +
		"3028" + "3000" + "8000" + times +
		"303e" + "3000" + "a116" + this + "a0030a0101" + times +
		"3039" + "3000" + "a111" + this + times +
		"3028" + "3000" + "8200" + times +
		"303e" + "3000" + "a116" + epoch + "a0030a0106" + times +
		"a127" + "3025" +
		"3012" + "06092b0601050507300102" + "0405" + "0403010203" +
		"300f" + "06092b0601050507300109" + "0402" + "0500"
	if hex.EncodeToString(got) != want {
		t.Errorf("encoded\n%x, want\n%s", got, want)
	}
}

func TestEncodeError(t *testing.T) {
	for status, want := range map[responseStatus]string{
		malformedRequest: "30030a0101", internalError: "30030a0102", tryLater: "30030a0103",
		sigRequired: "30030a0105", unauthorized: "30030a0106",
	} {
		if got := hex.EncodeToString(encodeError(status)); got != want {
			t.Errorf("%v: %s, want %s", status, got, want)
		}
	}
}

// TestEcho: the answer repeats the octets of each CertID, however its algorithm was written, and the nonce.
func TestEcho(t *testing.T) {
	source := newLedger(t, time.Now())
	r := responder(t, source, nil)
	cert := device(t, "d", 1)
	source.publish(cert, Standing{Known: true, State: Good})
	id := certID(t, crypto.SHA256, cert)
	absent := id.encode("")
	nonce := bytes.Repeat([]byte("n"), 128)
	body, status := reply(t, r, newRequest(t, nonce, id, CertID{Raw: absent}))
	if status != successful {
		t.Fatal(status)
	}
	for _, part := range [][]byte{id.Raw, absent, nonce} {
		if !bytes.Contains(body, part) {
			t.Errorf("the answer has no %x", part)
		}
	}
	if body, _ = reply(t, r, newRequest(t, nil, id)); bytes.Contains(body, []byte(oidNonce)) {
		t.Error("a nonce was answered that nobody sent")
	}
}
