package ledger

import (
	"fmt"
	"slices"
)

// Names of what leaves hold as numbers, for people and for JSON. They are stable: scripts read them.

func (a Action) String() string {
	switch a {
	case Revoke:
		return "revoke"
	case Suspend:
		return "suspend"
	case Resume:
		return "resume"
	}
	return fmt.Sprintf("action-%d", uint64(a))
}

func (s Scope) String() string {
	switch s {
	case ScopeCertificate:
		return "certificate"
	case ScopeKey:
		return "key"
	case ScopeCustody:
		return "custody"
	case ScopeBatch:
		return "batch"
	case ScopeLineKey:
		return "line-key"
	case ScopeCA:
		return "ca"
	case ScopeOrganisation:
		return "organisation"
	}
	return fmt.Sprintf("scope-%d", uint64(s))
}

func (o Op) String() string {
	switch o {
	case OpPublish:
		return "publish"
	case OpStatus:
		return "status"
	case OpRekey:
		return "rekey"
	case OpTransfer:
		return "transfer"
	case OpClaim:
		return "claim"
	case OpRetire:
		return "retire"
	case OpReturn:
		return "return"
	case OpConsortium:
		return "consortium"
	case OpOrganisation:
		return "organisation"
	case OpNamespace:
		return "namespace"
	case OpLineKey:
		return "line-key"
	}
	return fmt.Sprintf("operation-%d", uint64(o))
}

// ReasonName is the name that RFC 5280 section 5.3.1 gives a CRLReason; the number itself when it gives none.
func ReasonName(n uint64) string {
	switch n {
	case Unspecified:
		return "unspecified"
	case KeyCompromise:
		return "keyCompromise"
	case CACompromise:
		return "cACompromise"
	case AffiliationChanged:
		return "affiliationChanged"
	case Superseded:
		return "superseded"
	case Cessation:
		return "cessationOfOperation"
	case CertificateHold:
		return "certificateHold"
	case RemoveFromCRL:
		return "removeFromCRL"
	case PrivilegeWithdrawn:
		return "privilegeWithdrawn"
	case AACompromise:
		return "aACompromise"
	}
	return fmt.Sprint(n)
}

// EvidenceName says what entitles a certificate to its names.
func EvidenceName(n uint64) string {
	switch n {
	case EvidenceLine:
		return "line-key"
	case EvidenceChain:
		return "chain"
	case EvidenceToken:
		return "token"
	case EvidenceOwner:
		return "owner"
	}
	return fmt.Sprintf("evidence-%d", n)
}

// PossessionName says how it was shown that the submitter's side holds the key.
func PossessionName(n uint64) string {
	switch n {
	case PossessionSelf:
		return "self-signature"
	case PossessionProof:
		return "challenge"
	}
	return fmt.Sprintf("possession-%d", n)
}

// ProtectionName says how well the key is known to be kept.
func ProtectionName(n uint64) string {
	switch n {
	case 0:
		return "unknown"
	case 1:
		return "secure-element"
	case 2:
		return "attested"
	}
	return fmt.Sprintf("protection-%d", n)
}

// NamespaceTypeName says what names a namespace holds.
func NamespaceTypeName(n uint64) string {
	switch n {
	case NamespaceSerial:
		return "serial"
	case NamespaceDNS:
		return "dns"
	case NamespacePLMN:
		return "plmn"
	case NamespaceHardware:
		return "hardware"
	}
	return fmt.Sprintf("namespace-%d", n)
}

// roleNames are the roles of an organisation, by bit.
var roleNames = []string{"member", "vendor", "operator", "regulator", "relying-party"}

// RoleNames names the roles that are set.
func RoleNames(roles uint64) []string {
	out := []string{}
	for i, name := range roleNames {
		if roles&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// RoleByName finds a role's bit; false when there is none.
func RoleByName(name string) (uint64, bool) {
	i := slices.Index(roleNames, name)
	return 1 << max(i, 0), i >= 0
}

func (a NamespaceAction) String() string {
	switch a {
	case EndNamespace:
		return "end"
	case TransferNamespace:
		return "transfer"
	}
	return fmt.Sprintf("action-%d", uint64(a))
}

// MethodName says how control of a namespace was checked.
func MethodName(n uint64) string {
	switch n {
	case MethodDNS:
		return "dns"
	case MethodRegistry:
		return "registry"
	case MethodContract:
		return "contract"
	}
	return fmt.Sprintf("method-%d", n)
}
