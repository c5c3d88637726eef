package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// strictJSON decodes one JSON value that a person wrote. The standard decoder takes a key twice, and in any case, and the last one
// wins: somebody who reads the file sees another configuration than the one in force.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := eachOnce(d, ""); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	d = json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// eachOnce reads a value and demands that no object in it has a key twice, in whatever case. where names the value.
func eachOnce(d *json.Decoder, where string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		inside := fmt.Sprintf("%s[%d]", where, i)
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			inside = strings.TrimPrefix(where+"."+name, ".")
			if seen[strings.ToLower(name)] {
				return fmt.Errorf("%s is there twice", inside)
			}
			seen[strings.ToLower(name)] = true
		}
		if err := eachOnce(d, inside); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}
