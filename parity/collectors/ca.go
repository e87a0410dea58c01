// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"

	"github.com/evenkeel/evenkeel/parity"
)

// authorities are those whose certificates programs of the machine believe: the bundle that the system made, and what stands beside it to be taken in. The certificates come over
// as they are and are read here: that takes no process for each of them, and as machines of one system have them alike they come over once.
func authorities() Group {
	return Group{
		Name: "ca", Lane: parity.Stable,
		About: "certificate authorities that the system believes, by subject and fingerprint",
		// awk and not cat, for files that do not end their last line.
		Script: `have awk || unknown 'awk is needed'
bundle=
for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt /var/lib/ca-certificates/ca-bundle.pem /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
	[ ! -e $f ] || { bundle=$f && break; }
done
if [ "$bundle" ]; then
	[ -r $bundle ] || needs_root
	cat $bundle
fi
set --
for d in /usr/local/share/ca-certificates /etc/pki/ca-trust/source/anchors /etc/pki/trust/anchors; do
	[ ! -d $d ] || { [ -r $d ] && [ -x $d ]; } || needs_root
	for f in $d/*.crt $d/*.pem $d/*/*.crt; do
		[ ! -f "$f" ] || { [ -r "$f" ] || needs_root; set -- "$@" "$f"; }
	done
done
[ $# = 0 ] || { echo '# beside' && awk 1 "$@"; }
`,
		Parse: parseAuthorities,
	}
}

// maxAuthorities bounds what is parsed; systems come with some 150.
const maxAuthorities = 5000

func parseAuthorities(raw []byte) ([]parity.Item, error) {
	bundle, beside, _ := bytes.Cut(raw, []byte("# beside\n"))
	var s itemSet
	seen := map[[sha256.Size]byte]bool{}
	count := 0
	for _, part := range []struct {
		text []byte
		mark string
	}{{bundle, ""}, {beside, ", not taken into the bundle"}} {
		for rest := part.text; ; {
			block, after := pem.Decode(rest)
			if block == nil {
				break
			}
			rest = after
			sum := sha256.Sum256(block.Bytes)
			if seen[sum] || block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
				continue
			}
			if count++; count > maxAuthorities {
				return nil, errors.New("more than 5000 certificates")
			}
			seen[sum] = true
			mark := hex.EncodeToString(sum[:])
			name, until := "unreadable certificate", ""
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
				if subject := cert.Subject.String(); subject != "" {
					name = subject
				}
				until = ", until " + cert.NotAfter.UTC().Format(time.DateOnly)
			}
			item := parity.Item{Key: name + " " + mark[:16], Value: "sha256:" + mark + until + part.mark}
			if !s.add(item) {
				item.Key = name + " " + mark
				s.add(item)
			}
		}
	}
	return s.list, nil
}
