package service

// RateLimit is a cheap limit in this process, taken before any change in the database. It
// returns model.ErrTooMany when key has used up its share. A nil RateLimit lets everything
// pass.
type RateLimit func(key string) error

func (l RateLimit) take(key string) error {
	if l == nil {
		return nil
	}
	return l(key)
}
