// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// parseJSON reads what a dynamic inventory prints for --list: groups with hosts, children and vars (or a list of hosts alone), and _meta.hostvars.
func parseJSON(file string, data []byte) *inventory {
	v := newInventory(file)
	top := map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&top)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the inventory")
		}
	}
	if err != nil {
		line, column := lineAt(data, err, dec)
		v.refuse(line, column, "it is no JSON of the form that ansible-inventory --list prints: %s", clip(err.Error()))
		return v
	}
	var meta struct {
		HostVars map[string]map[string]json.RawMessage `json:"hostvars"`
	}
	if raw, ok := top["_meta"]; ok {
		if err := json.Unmarshal(raw, &meta); err != nil {
			v.refuse(0, 0, "_meta.hostvars: it is no map of maps")
		}
		delete(top, "_meta")
	}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		if !isGroup(name) {
			v.refuse(0, 0, "got the group %q; allowed are letters, digits and ._-", clip(name))
			continue
		}
		v.jsonGroup(name, top[name])
	}
	for _, host := range v.order {
		maps.Copy(v.members[host].vars, v.jsonVars("the host "+host, meta.HostVars[host]))
	}
	return v
}

func (v *inventory) jsonGroup(name string, raw json.RawMessage) {
	var is struct {
		Hosts    []string                   `json:"hosts"`
		Children []string                   `json:"children"`
		Vars     map[string]json.RawMessage `json:"vars"`
	}
	err := json.Unmarshal(raw, &is)
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		err = json.Unmarshal(raw, &is.Hosts)
	}
	if err != nil {
		v.refuse(0, 0, "the group %s: allowed are hosts and children (lists of names) and vars (a map)", name)
		return
	}
	g := v.group(name, 0)
	g.declared = true
	for _, c := range is.Children {
		if !isGroup(c) {
			v.refuse(0, 0, "the group %s has a child %q; allowed are letters, digits and ._-", name, clip(c))
			continue
		}
		// What a program prints need not say that a child has nothing in it.
		v.group(c, 0).declared = true
		g.children = append(g.children, c)
	}
	maps.Copy(g.vars, v.jsonVars("the group "+name, is.Vars))
	for _, h := range is.Hosts {
		if !isHost(h) { // a program prints names, no ranges
			v.refuse(0, 0, "the group %s has the host %q; allowed are letters, digits and ._-, and addresses", name, clip(h))
			continue
		}
		v.add(plainly(h), name, nil, 0, 0)
	}
}

// plainly keeps the colons of an IPv6 address from being taken for a port's.
func plainly(h string) string {
	if bytes.Count([]byte(h), []byte(":")) > 1 {
		return "[" + h + "]"
	}
	return h
}

// jsonVars are those of vars that matter, as text.
func (v *inventory) jsonVars(what string, vars map[string]json.RawMessage) map[string]string {
	got := map[string]string{}
	for name, raw := range vars {
		if !wanted(name) {
			continue
		}
		text, err := jsonText(raw)
		if err != nil {
			v.refuse(0, 0, "%s: %s: %v", what, name, err)
			continue
		}
		if text != "" {
			got[name] = text
		}
	}
	return got
}

func jsonText(raw json.RawMessage) (string, error) {
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return "", errors.New("it is no JSON")
	}
	switch is := value.(type) {
	case nil:
		return "", nil
	case string:
		return is, nil
	case json.Number:
		return is.String(), nil
	case map[string]any:
		if text, ok := is["__ansible_unsafe"].(string); ok {
			return text, nil
		}
	}
	return "", fmt.Errorf("got %s; allowed is a text or a number", clip(string(raw)))
}

// lineAt is where in data an error of the decoder is.
func lineAt(data []byte, err error, dec *json.Decoder) (line, column int) {
	offset := dec.InputOffset()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		offset = int64(len(data))
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = wrong.Offset - 1
	} else if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = wrong.Offset - 1
	}
	before := data[:max(0, min(offset, int64(len(data))))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
