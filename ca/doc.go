// Package ca makes and reads certificates and keys as data: self-issue (IEEE 802.1AR IDevID style), key and
// certificate files, and crypto/x509 as a second opinion. The strict profile that consensus judges by is in
// ca/profile; what this package issues passes it.
//
// It has no network and knows no ledger. It must never write a private key readable by others, never overwrite
// one, and never put key material into an error.
package ca
