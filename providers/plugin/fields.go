// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"reflect"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/providers"
)

// specFields are the JSON names of all fields of a Spec, nested ones with a dot: what this build understands. The wire's encoding is written
// by hand; a test holds that it carries every one of them.
func specFields() []string {
	var names []string
	fieldNames(reflect.TypeFor[providers.Spec](), "", func(name string) { names = append(names, name) })
	return names
}

func fieldNames(t reflect.Type, prefix string, found func(string)) {
	for f := range t.Fields() {
		name := prefix + jsonName(f)
		found(name)
		if inner, ok := structIn(f.Type); ok {
			fieldNames(inner, name+".", found)
		}
	}
}

// unknownFields are the fields that s uses (is not zero in) and known lacks.
func unknownFields(s providers.Spec, known []string) []string {
	var missing []string
	usedFields(reflect.ValueOf(s), "", func(name string) {
		if !slices.Contains(known, name) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	})
	return missing
}

func usedFields(v reflect.Value, prefix string, found func(string)) {
	for f, field := range v.Fields() {
		name := prefix + jsonName(f)
		if field.IsZero() {
			continue
		}
		found(name)
		switch _, nested := structIn(f.Type); {
		case nested && f.Type.Kind() == reflect.Slice:
			for i := range field.Len() {
				usedFields(field.Index(i), name+".", found)
			}
		case nested:
			usedFields(field, name+".", found)
		}
	}
}

func structIn(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// abilities are all there are, by name.
func abilities(p providers.Provider) []string {
	var names []string
	note := func(name string, ok bool) {
		if ok {
			names = append(names, name)
		}
	}
	note(has[providers.Starter](p))
	note(has[providers.Suspender](p))
	note(has[providers.Snapshotter](p))
	note(has[providers.Consoler](p))
	note(has[providers.ImagePruner](p))
	note(has[providers.Doctor](p))
	note(has[providers.Dialer](p))
	return names
}

func has[T any](p providers.Provider) (string, bool) {
	_, ok := providers.As[T](p)
	return reflect.TypeFor[T]().Name(), ok
}
