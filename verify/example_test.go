package verify_test

import (
	"fmt"
	"os"
	"time"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ledger/tlog"
	"github.com/quorate-pki/quorate/verify"
)

// A site without a network checks a certificate by a snapshot that was carried there. (Errors are not looked at here.)
func ExampleReadSnapshot() {
	const dir = "../testdata/vectors/snapshot-revoked/"
	text, _ := os.ReadFile(dir + "policy")
	policy, _ := tlog.ParsePolicy(text)
	file, _ := os.Open(dir + "status.snapshot")
	defer file.Close()
	snapshot, err := verify.ReadSnapshot(policy, file)
	fmt.Println("snapshot of", snapshot.Size, "leaves:", err)

	certificate, _ := ca.ReadCertificate(dir + "cert.pem")
	receipt, _ := os.ReadFile(dir + "receipt.tlog-proof")
	published, err := verify.Receipt(policy, receipt, certificate)
	fmt.Println("published at leaf", published.Leaf, err)
	standing, err := snapshot.Standing(file, published.Leaf)
	fmt.Println("status:", standing.Status, err)
	now := snapshot.AsOf.Add(time.Hour) // time.Now(), where the snapshot is not of long ago
	fmt.Println(verify.Verdict(published, standing, certificate, now, 24*time.Hour))
	// Output:
	// snapshot of 1091 leaves: <nil>
	// published at leaf 1065 <nil>
	// status: revoked <nil>
	// revoked: as of 2026-11-01T13:00:00Z
}

// A gateway decides on a certificate by two files that whoever presents it hands over, or any node: the receipt says that it was published,
// the status proof that it still stood a little while ago. (Errors are not looked at here.)
func ExampleVerdict() {
	const dir = "../testdata/vectors/good/"
	text, _ := os.ReadFile(dir + "policy") // the one thing trusted; on the gateway's own disk
	policy, _ := tlog.ParsePolicy(text)
	certificate, _ := ca.ReadCertificate(dir + "cert.pem")
	receipt, _ := os.ReadFile(dir + "receipt.tlog-proof")
	status, _ := os.ReadFile(dir + "status.tlog-proof")

	published, err := verify.Receipt(policy, receipt, certificate)
	fmt.Println("published at leaf", published.Leaf, err)
	standing, err := verify.Status(policy, status, published.Leaf)
	fmt.Println("status:", standing.Status, err)
	now := standing.AsOf.Add(time.Minute) // time.Now(), where the proof is not of long ago
	fmt.Println("verdict:", verify.Verdict(published, standing, certificate, now, 10*time.Minute))
	fmt.Println("an hour later:", verify.Verdict(published, standing, certificate, now.Add(time.Hour), 10*time.Minute) == nil)
	// Output:
	// published at leaf 18 <nil>
	// status: good <nil>
	// verdict: <nil>
	// an hour later: false
}
