// SPDX-License-Identifier: Apache-2.0

package libvirt

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/maker"
	"github.com/evenkeel/evenkeel/providers"
)

// namespace is ours in a domain's and a network's <metadata>.
const namespace = "https://github.com/evenkeel/evenkeel/libvirt/1"

// phase is how far a machine's making, or its removal, has come.
type phase string

const (
	making   phase = "making"
	made     phase = "made" // it was started once with all it needs
	removing phase = "removing"
)

// record is what a domain's metadata says of a machine: all that libvirt itself does not keep.
type record struct {
	XMLName xml.Name `xml:"machine"`
	Env     string   `xml:"env,attr"`
	Name    string   `xml:"name,attr"`
	Phase   phase    `xml:"phase,attr"`
	Maker   string   `xml:"maker,attr"` // the process that makes it; see internal/maker
	Made    string   `xml:"made,attr"`  // RFC 3339, UTC
	Spec    string   `xml:"spec,attr"`  // providers.Spec.Digest
	Image   string   `xml:"image,attr"` // providers.ImageRef
	Slot    int      `xml:"slot,attr"`
	Address string   `xml:"address,attr"` // CIDR in the private network
	Ports   []port   `xml:"port"`         // port 22 first
	Data    []string `xml:"data"`         // names of its data disks
	Labels  []label  `xml:"label"`
}

type label struct {
	Key   string `xml:"key,attr"`
	Value string `xml:"value,attr"`
}

// port is a forward from loopback.
type port struct {
	Guest int    `xml:"guest,attr"`
	Proto string `xml:"proto,attr"`
	Host  int    `xml:"host,attr"`
	// Pinned: the user chose Host, no other will do. Published: the user asked for it; only the forward of SSH may lack it.
	Pinned    bool `xml:"pinned,attr"`
	Published bool `xml:"published,attr"`
}

// serves reports whether q is for the same port of the machine.
func (p port) serves(q port) bool { return p.Guest == q.Guest && p.Proto == q.Proto }

// same reports whether q is the same forward.
func (p port) same(q port) bool { return p.serves(q) && p.Host == q.Host }

// sshPort is where every image's sshd listens; it is forwarded whether it is published or not.
const sshPort = 22

func newRecord(spec providers.Spec, ref providers.ImageRef) record {
	r := record{
		Env: spec.Env, Name: spec.Name, Phase: making, Maker: maker.Self(), Made: time.Now().UTC().Format(time.RFC3339),
		Spec: spec.Digest(), Image: string(ref),
	}
	for _, d := range spec.Data {
		r.Data = append(r.Data, d.Name)
	}
	for k, v := range spec.Labels {
		r.Labels = append(r.Labels, label{k, v})
	}
	slices.SortFunc(r.Labels, func(a, b label) int { return strings.Compare(a.Key, b.Key) })
	return r
}

func (r record) labels() providers.Labels {
	l := providers.Labels{}
	for _, kv := range r.Labels {
		l[kv.Key] = kv.Value
	}
	return l
}

// partial says that nobody is making the machine any more and it is not whole.
func (r record) partial() bool {
	return r.Phase == removing || r.Phase == making && !maker.Alive(r.Maker, r.Made, false)
}

// element renders r for virDomainSetMetadata, which adds the namespace itself.
func (r record) element() (string, error) {
	b, err := xml.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("record of machine %s: %w", r.Name, err)
	}
	return string(b), nil
}

// metadata renders r for the <metadata> of a domain's definition.
func (r record) metadata() (string, error) {
	var b strings.Builder
	start := xml.StartElement{
		Name: xml.Name{Local: "evenkeel:machine"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns:evenkeel"}, Value: namespace}},
	}
	if err := xml.NewEncoder(&b).EncodeElement(r, start); err != nil {
		return "", fmt.Errorf("record of machine %s: %w", r.Name, err)
	}
	return b.String(), nil
}

// parseDescription reads what we need of a domain's XML. ok is false where the domain carries no record of ours.
func parseDescription(text string) (uuid string, r record, ok bool, err error) {
	var d struct {
		UUID     string `xml:"uuid"`
		Metadata struct {
			Machine []record `xml:"https://github.com/evenkeel/evenkeel/libvirt/1 machine"`
		} `xml:"metadata"`
	}
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		return "", record{}, false, fmt.Errorf("description of a domain: %w", err)
	}
	if len(d.Metadata.Machine) != 1 {
		return d.UUID, record{}, false, nil
	}
	return d.UUID, d.Metadata.Machine[0], true, nil
}
