package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/google/pprof/profile"
)

// Rules that can be checked on what the library gives.
func checkParsed(p *profile.Profile) (violations []error) {
	bad := func(format string, args ...interface{}) {
		violations = append(violations, fmt.Errorf(format, args...))
	}
	if len(p.SampleType) == 0 {
		bad("no sample type")
	}
	for i, s := range p.Sample {
		if len(s.Value) != len(p.SampleType) {
			bad("sample %d: %d values for %d types", i, len(s.Value), len(p.SampleType))
		}
		for key, values := range s.Label {
			if key == "" || strings.HasPrefix(key, "pprof::") {
				bad("sample %d: label key %q", i, key)
			}
			if len(values) != 1 {
				bad("sample %d: %d values for label %q", i, len(values), key)
			}
			if _, both := s.NumLabel[key]; both {
				bad("sample %d: label %q is both a string and a number", i, key)
			}
		}
		for key, values := range s.NumLabel {
			if key == "" {
				bad("sample %d: a label without a key", i)
			}
			if len(values) != 1 {
				bad("sample %d: %d values for label %q", i, len(values), key)
			}
		}
	}
	for i, l := range p.Location {
		if m := l.Mapping; m != nil && (l.Address < m.Start || l.Address >= m.Limit) {
			bad("location %d: address %#x outside of %s [%#x, %#x)", i+1, l.Address, m.File,
				m.Start, m.Limit)
		}
	}
	for _, m := range p.Mapping {
		if strings.HasSuffix(m.File, " (deleted)") {
			bad("mapping of %q", m.File)
		}
		if strings.Trim(m.BuildID, "0123456789abcdef") != "" {
			bad("mapping of %q: build-id %q", m.File, m.BuildID)
		}
	}
	return violations
}

type field struct {
	number int
	varint uint64
	bytes  []byte // of a length-delimited field
}

var errCut = errors.New("message cut short")

// The next field of a message, and what follows it.
func nextField(b []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return f, nil, errCut
	}
	b = b[n:]
	f.number = int(tag >> 3)
	switch tag & 7 {
	case 0:
		f.varint, n = binary.Uvarint(b)
		if n <= 0 {
			return f, nil, errCut
		}
		return f, b[n:], nil
	case 2:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, errCut
		}
		f.bytes = b[n : n+int(size)]
		return f, b[n+int(size):], nil
	}
	return f, nil, fmt.Errorf("field %d: wire type %d", f.number, tag&7)
}

// The id (field 1) of a message, 0 if it has none.
func messageID(b []byte) (uint64, error) {
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return 0, err
		}
		if f.number == 1 {
			return f.varint, nil
		}
		b = rest
	}
	return 0, nil
}

// Rules on what is in the file, which the library renumbers and repairs while
// parsing: looked for in the bytes themselves.
func checkRaw(b []byte) (violations []error) {
	bad := func(format string, args ...interface{}) {
		violations = append(violations, fmt.Errorf(format, args...))
	}
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return []error{err}
		}
		if b, err = io.ReadAll(r); err != nil {
			return []error{err}
		}
	}
	tables := map[int]string{3: "mapping", 4: "location", 5: "function"}
	counts := map[int]uint64{}
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return append(violations, err)
		}
		b = rest
		counts[f.number]++
		if table, ok := tables[f.number]; ok {
			id, err := messageID(f.bytes)
			if err != nil {
				return append(violations, err)
			}
			if id != counts[f.number] {
				bad("%s %d of its table has id %d", table, counts[f.number], id)
			}
		}
		if f.number == 6 {
			if counts[6] == 1 && len(f.bytes) > 0 {
				bad("string 0 is %q", f.bytes)
			}
			if !utf8.Valid(f.bytes) {
				bad("string %d is no UTF-8: %q", counts[6]-1, f.bytes)
			}
		}
	}
	if counts[6] == 0 {
		bad("no string table")
	}
	return violations
}
