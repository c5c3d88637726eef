// Package quorate is a consortium ledger that replaces the certificate authority. The program is cmd/quorate;
// ARCHITECTURE.md says what is where.
package quorate
