// SPDX-License-Identifier: Apache-2.0

package envs

import (
	"encoding/json"
	"time"

	"github.com/evenkeel/evenkeel/images"
	"github.com/evenkeel/evenkeel/internal/problem"
)

// Definition is a loaded env.yaml with everything it names: nothing in it still has to be read from a file.
type Definition struct {
	File     string                    `json:"file"` // absolute path of env.yaml
	Dir      string                    `json:"dir"`
	Local    string                    `json:"local,omitempty"` // absolute path of env.local.yaml where one is in force
	Name     string                    `json:"name"`
	ID       string                    `json:"id"` // project id
	Settings map[string]string         `json:"settings,omitempty"`
	Secrets  map[string]Secret         `json:"secrets,omitempty"`
	Access   Access                    `json:"access"`
	TLS      bool                      `json:"tls,omitempty"`  // each machine gets a certificate of the environment's own CA
	Keep     *Keep                     `json:"keep,omitempty"` // snapshots.keep; nil: nothing is pruned
	Machines map[string]Kind           `json:"machines"`
	Default  string                    `json:"default,omitempty"`
	Tiers    map[string]Tier           `json:"tiers"`
	Parity   Parity                    `json:"parity,omitzero"`
	Recipes  map[string]*images.Recipe `json:"-"` // by the path as written, relative to Dir

	places map[string]problem.Problem // where a value stands, by its path, for problems that only a plan shows
}

// Access says who may log in.
type Access struct {
	User   string   `json:"user,omitempty"`    // default: evenkeel
	Keys   []string `json:"keys,omitempty"`    // authorized_keys lines, read from the files
	UserCA []string `json:"user_ca,omitempty"` // public keys whose certificates let in, in authorized_keys form
	// Files are where the lines of Keys and UserCA come from, relative to the definition.
	Files map[string]string `json:"-"`
}

// Secret is where a secret's value comes from, never the value. Exactly one of Env, Command, File, SOPS.
type Secret struct {
	Env     string `json:"env,omitempty"`     // a variable of the user's environment
	Command string `json:"command,omitempty"` // a shell line run in the project's folder; its output without the last newline. Needs consent
	File    string `json:"file,omitempty"`    // path, absolute or beginning with ~/; whole content
	SOPS    string `json:"sops,omitempty"`    // path, likewise, of a file that the sops program decrypts
	Key     string `json:"key,omitempty"`     // of SOPS: the key in it, dots between levels; a number is a place in a list. "": the whole file
}

// Data is a disk that outlives its machine.
type Data struct {
	Name  string `json:"name"`  // at most 12 of a-z, 0-9 and -
	Size  int64  `json:"size"`  // bytes; a least size where the place has no quotas
	Mount string `json:"mount"` // absolute, clean
}

// Code is a folder of the project that lives on machines.
type Code struct {
	From string `json:"from"` // absolute, within the project
	To   string `json:"to"`   // absolute path on the machine; owned by Access.User
}

// Rebuild is how machines of a kind are replaced.
type Rebuild struct {
	Surge    bool `json:"surge,omitempty"`    // the new machine serves before the old goes; else the old goes first
	Downtime bool `json:"downtime,omitempty"` // the last of its kind may go before the new one serves
}

// Keep is how many snapshots of each kind outlive pruning, each kind counted by itself; 0 keeps none of that kind.
type Keep struct {
	Hourly  int `json:"hourly,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
}

// Kind is one entry of machines: Count machines alike. `web` with Count 2 is web-1 and web-2.
type Kind struct {
	Count     int     `json:"count"`
	Image     string  `json:"image"` // recipe path as written
	CPUs      int     `json:"cpus"`
	Memory    int64   `json:"memory"` // bytes
	Disk      int64   `json:"disk"`   // bytes
	Allow     []Rule  `json:"allow,omitempty"`
	Health    *Health `json:"health,omitempty"`
	Stateless bool    `json:"stateless"`

	Settings map[string]string `json:"settings,omitempty"`
	Secrets  map[string]Secret `json:"secrets,omitempty"`
	Data     []Data            `json:"data,omitempty"` // sorted by name
	Code     []Code            `json:"code,omitempty"`
	Rebuild  Rebuild           `json:"rebuild,omitzero"`

	RebuildAfter time.Duration `json:"rebuild_after,omitempty"` // how old these machines may get; 0: as elsewhere said (Definition.RebuildAfter)
}

// Anywhere is the From of a Rule that publishes a port.
const Anywhere = "anywhere"

// Rule lets something in. Exactly one of the From forms: "anywhere", a kind's name, a CIDR.
type Rule struct {
	From     string `json:"from"`
	PortLow  int    `json:"port_low"` // equal to PortHigh for one port
	PortHigh int    `json:"port_high"`
	Proto    string `json:"proto"` // tcp or udp
}

// Health is how to tell that a machine does its work. Exactly one of HTTP, TCP, Exec.
type Health struct {
	HTTP   string        `json:"http,omitempty"` // ":80/path"
	TCP    string        `json:"tcp,omitempty"`  // ":5432"
	Exec   string        `json:"exec,omitempty"` // a shell line on the machine, exit 0 is healthy
	Within time.Duration `json:"within"`         // default 90 s
}

// Tier is one place. What it overrides is an allowed difference.
type Tier struct {
	Provider     string                 `json:"provider"`
	Config       json.RawMessage        `json:"config,omitempty"` // the provider's own block, decoded by it
	Settings     map[string]string      `json:"settings,omitempty"`
	Secrets      map[string]Secret      `json:"secrets,omitempty"`
	Access       *Access                `json:"access,omitempty"` // what it names (user, keys, user_ca) takes the place of the definition's
	Protected    bool                   `json:"protected,omitempty"`
	Machines     map[string]Override    `json:"machines,omitempty"`
	Publish      map[string]map[int]int `json:"publish,omitempty"`       // machine name -> port -> loopback port
	TTL          time.Duration          `json:"ttl,omitempty"`           // an environment expires that long after its first object was made; 0: never
	RebuildAfter time.Duration          `json:"rebuild_after,omitempty"` // how old machines may get here; 0: as elsewhere said
	Audit        bool                   `json:"audit,omitempty"`         // an audit that cannot list its machines is incomplete
	Local        bool                   `json:"local,omitempty"`         // env.local.yaml changes it; where it changes the provider there is no Config
	Line         int                    `json:"-"`                       // where it begins in the definition's file, from 1; 0: not known
}

// Override is what a tier may change of a kind; zero values leave it.
type Override struct {
	Count  int   `json:"count,omitempty"`
	CPUs   int   `json:"cpus,omitempty"`
	Memory int64 `json:"memory,omitempty"`
	Disk   int64 `json:"disk,omitempty"`

	Settings     map[string]string `json:"settings,omitempty"`
	Secrets      map[string]Secret `json:"secrets,omitempty"`
	Data         map[string]int64  `json:"data,omitempty"`    // size by the disk's name
	Rebuild      *Rebuild          `json:"rebuild,omitempty"` // takes the place of the kind's
	RebuildAfter time.Duration     `json:"rebuild_after,omitempty"`
	External     string            `json:"external,omitempty"` // host:port that stands for the kind: no machine is made
}

// Plan is what one tier of a definition comes to: pure data, the same for the same files. Machines are sorted by name.
type Plan struct {
	Env      string          `json:"env"` // environment ID
	Project  string          `json:"project"`
	Name     string          `json:"name"`
	Tier     string          `json:"tier"`
	Provider string          `json:"provider"`
	Config   json.RawMessage `json:"config,omitempty"`
	Local    string          `json:"local,omitempty"` // env.local.yaml, where it changes this tier: allowed of local places only
	Access   Access          `json:"access"`
	TLS      bool            `json:"tls,omitempty"`
	Keep     *Keep           `json:"keep,omitempty"`
	// TTL: an environment made by this plan expires that long after, its data too; 0: never.
	TTL time.Duration `json:"ttl,omitempty"`
	// Protected: whatever removes a machine asks for Env first.
	Protected bool                      `json:"protected,omitempty"`
	External  map[string]string         `json:"external,omitempty"` // host:port by kind
	Machines  []Machine                 `json:"machines"`
	Recipes   map[string]*images.Recipe `json:"-"` // by Machine.Image

	places  map[string]problem.Problem // as of the definition
	outside map[string][]Rule          // what External kinds let in by the definition: for the picture
}

// Machine is one machine of a plan.
type Machine struct {
	Name     string    `json:"name"`      // web-1
	Kind     string    `json:"kind"`      // web
	Image    string    `json:"image"`     // recipe path as written
	ImageKey string    `json:"image_key"` // "" where no lock exists yet
	CPUs     int       `json:"cpus"`
	Memory   int64     `json:"memory"`
	Disk     int64     `json:"disk"`
	Allow    []Rule    `json:"allow,omitempty"`
	Publish  []Publish `json:"publish,omitempty"` // from allow anywhere, with the tier's pins
	Health   *Health   `json:"health,omitempty"`
	// Settings also say where each kind is found, the same way on every tier: EVENKEEL_DB_ADDR=db:5432 (EnvAddress).
	Settings map[string]string `json:"settings,omitempty"`
	Secrets  map[string]Secret `json:"secrets,omitempty"`
	Data     []Data            `json:"data,omitempty"`
	Code     []Code            `json:"code,omitempty"`
	Rebuild  Rebuild           `json:"rebuild,omitzero"`
	// RestartOn are the services to restart when "settings", "secrets" or "tls" change, from the recipe; sorted.
	RestartOn map[string][]string `json:"restart_on,omitempty"`
	Stateless bool                `json:"stateless"`

	origins map[string]string // where a setting or secret is said, by its name
}

// Publish is one port reachable from outside; HostPort 0: free choice.
type Publish struct {
	Port     int    `json:"port"`
	Proto    string `json:"proto"`
	HostPort int    `json:"host_port,omitempty"`
}
