package repository_test
import ("testing";"time";"menshen/repository/dbtest")
func TestZZProbe(t *testing.T){
 for _,d:=range dbtest.Drivers(t){ for i:=0;i<4;i++{ s:=time.Now(); dbtest.Open(t,d); t.Log(d,time.Since(s)) } }
}
