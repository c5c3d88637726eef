package main

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quorate-pki/quorate/ca"
	"github.com/quorate-pki/quorate/ca/profile"
	"github.com/quorate-pki/quorate/ledger"
)

// publicKeyType is the PEM type of a public key (RFC 7468 section 13).
const publicKeyType = "PUBLIC KEY"

func newKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Keys of people and lines: make one, show its public part", Args: args(cobra.NoArgs), Example: "  quorate key new admin-1",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newKeyNew(), newKeyPublic())
	return cmd
}

func newKeyNew() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "new [--type p256|p384|ed25519|rsa3072] NAME",
		Short: "Make a key: NAME.key, which stays here, and NAME.pub, which others may see",
		Long: `Make a key: NAME.key (PKCS#8 PEM, mode 0600) and NAME.pub (SubjectPublicKeyInfo, PEM). Neither overwrites a file. Admins of an
organisation and its lines make their own keys; proposals and registrations carry the public part.`,
		Example: "  quorate key new new-cells/admin-1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			k, ok := keyKinds[kind]
			if !ok {
				return usage{fmt.Errorf("there is no key type %q", kind)}
			}
			key, err := ca.GenerateKey(k, rand.Reader)
			if err != nil {
				return err
			}
			spki, err := ca.SPKI(key.Public())
			if err != nil {
				return err
			}
			if err := ca.WriteKey(a[0]+".key", key); err != nil {
				return usage{err}
			}
			if err := replaceFile(a[0]+".pub", encodePublic(spki)); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s.key  %s.pub  key id %x\n", a[0], a[0], ledger.Sum(spki))
			return err
		},
	}
	cmd.Flags().StringVar(&kind, "type", "p256", "p256, p384, ed25519 or rsa3072; a line key is not RSA")
	return cmd
}

func newKeyPublic() *cobra.Command {
	return &cobra.Command{
		Use:     "public FILE",
		Short:   "Print the public part of a key file",
		Example: "  quorate key public admin-1.key",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			_, spki, err := readSigner(a[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(encodePublic(spki))
			return err
		},
	}
}

func encodePublic(spki []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: publicKeyType, Bytes: spki})
}

// readPublic reads a public key file: one PEM block, in the one form that the ledger takes.
func readPublic(path string) ([]byte, error) {
	data, err := readSmall(path, 16<<10)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != publicKeyType || len(rest) > 0 {
		return nil, usage{fmt.Errorf("%s is no public key in PEM; quorate key public makes one", path)}
	}
	if _, err := profile.ParseSPKI(block.Bytes); err != nil {
		return nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	return block.Bytes, nil
}
