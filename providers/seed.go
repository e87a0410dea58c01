// SPDX-License-Identifier: Apache-2.0

package providers

// Seed is what a machine's first boot needs and nothing else may know: who it is for the hour until it made its own key.
// It reaches the machine by the provider's own way: Tar on a disk or copied into a container (no cloud-init runs), or UserData on clouds.
// Both give the same outcome. HostKey is secret: it never appears in a log, an argument list, a label or an error.
type Seed struct {
	Hostname        string   `json:"hostname"`
	HostKey         []byte   `json:"host_key"`         // OpenSSH private key, PEM; bootstrap only
	HostCertificate []byte   `json:"host_certificate"` // its certificate in authorized_keys form, valid one hour
	User            string   `json:"user"`             // login user the keys are for
	AuthorizedKeys  []string `json:"authorized_keys"`
	// Data are the machine's data disks: the provider fills in Device as in Machine.Data before it renders the seed, so that they are mounted
	// before any service starts.
	Data []Mount `json:"data,omitempty"`
}

// Mount is a data disk and where it is mounted. Device as in Attached; disks without one are left out of PathData.
type Mount struct {
	Name   string `json:"name"`
	Device string `json:"device,omitempty"`
	Mount  string `json:"mount"`
}

// NIC is one network interface of a machine, for Tar and NetworkConfig.
type NIC struct {
	MAC     string   // 52:54:00:..., how the interface is recognized
	DHCP    bool     // IPv4 by DHCP; then the rest may be empty
	Address string   // CIDR: 10.0.2.15/24
	Gateway string   // or ""
	DNS     []string // or none
}

// LoginUser is the user every image has for the core: password-less sudo, keys only.
const LoginUser = "evenkeel"

// Where the seed's files lie in the machine. The image is built to expect them (see images/doc.go, "What every image holds").
const (
	PathHostKey        = "/etc/ssh/ssh_host_ed25519_key"
	PathHostCert       = "/etc/ssh/ssh_host_ed25519_key-cert.pub"
	PathAuthorizedKeys = "/etc/evenkeel/authorized_keys/" // + user, 0644 root
	PathRules          = "/etc/evenkeel/nft/rules.nft"    // included by the image's /etc/nftables.conf
	PathSettings       = "/etc/evenkeel/settings.env"     // 0600 root: an EnvironmentFile= is read by systemd itself
	PathSecrets        = "/etc/evenkeel/secrets/"         // + name, 0600 root, in a 0700 folder
	PathTLS            = "/etc/evenkeel/tls/"             // cert.pem, key.pem (0600 root), ca.pem
	PathCertificate    = PathTLS + "cert.pem"
	PathAuthorities    = PathTLS + "ca.pem"      // of the environment: one certificate, or two while the next one is made known
	PathData           = "/etc/evenkeel/data"    // lines "NAME DEVICE MOUNT": what evenkeel-data.service mounts at every boot
	PathSettled        = "/etc/evenkeel/settled" // what Settle laid, by digests; for root and LoginUser
)
