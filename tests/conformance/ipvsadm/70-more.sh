# Recorded from ipvsadm 1.31 on Linux 6.1.
# What is left of words, orders and restoring.
ipvsadm -A -t 10.9.0.1:80 -s rr
ipvsadm -L -nQ
ipvsadm -at
ipvsadm -at 10.9.0.1:80 -r
ipvsadm -AD -t 10.9.0.1:80
ipvsadm -A --start-daemon master
ipvsadm -A --start-daemon=master
ipvsadm -A --start-daemon
ipvsadm -A --set
ipvsadm -A --save
ipvsadm -A -h
ipvsadm -A -R
ipvsadm -L --weight= -t 10.9.0.1:80
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 --weight=
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 -w=
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 -w==5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 -w --weight=3
ipvsadm -L -t --stats
ipvsadm -A -t -s rr
ipvsadm -L --gatewaying=1
ipvsadm -L --persistent=
ipvsadm -L -list
ipvsadm -A -t 10.9.0.1:81 -p= -s rr
ipvsadm -A -t 10.9.0.1:81 --persistent= -s rr
ipvsadm --set a
ipvsadm --set a b c d
ipvsadm --set 1 x 3 d
ipvsadm --set '' 1 1
ipvsadm --set a b c -n
ipvsadm --set 1 2 3 4 -n
ipvsadm -L extra -s rr
ipvsadm -A -t 10.9.0.1:82 -s rr -p extra more
ipvsadm -A -t 10.9.0.1:83 -s rr -p 10 -- extra
ipvsadm -h extra
ipvsadm -h -t
ipvsadm -v extra
ipvsadm --version -s rr
ipvsadm -C extra
ipvsadm -S extra
ipvsadm -R extra
ipvsadm -Z extra
ipvsadm -D -t 10.9.0.1:80 -r 10.0.0.1
ipvsadm -A -t 10.9.0.1:90 -s rr
for r in 10.0.0.9 200.0.0.9 [2001:db8::1] [fd00::1] [::1] 1.0.0.1; do ipvsadm -a -t 10.9.0.1:90 -r $r:90 -i; done
ipvsadm -Ln -t 10.9.0.1:90
printf -- '-A -t 10.9.0.1:90 -s rr\n-A -t 10.9.0.1:91 -s rr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:92 -s rr\n-A -t 10.9.0.1:92 -s rr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:93 --nosuch\n-A -t 10.9.0.1:94 -s rr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:93 --nosuch\n' | ipvsadm -R
printf -- '# comment\n' | ipvsadm -R
printf -- '-L -t 10.9.0.9:9\n' | ipvsadm -R
printf -- '-L -t 10.9.0.9:9\n-A -t 10.9.0.1:95 -s rr\n' | ipvsadm -R
printf -- 'ipvsadm\n-A -t 10.9.0.1:95 -s rr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:96\n-A -t 10.9.0.1:96\n\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:97\n-A -t 10.9.0.1:96\nipvsadm\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:97\n-A -t 10.9.0.1:96\n-Z\n' | ipvsadm -R
printf -- '-h\n' | ipvsadm -R | tail -1
printf -- '-v\n-A -t 10.9.0.1:98\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:99 -s "rr"\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:99 -s '"'rr'"'\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:99 \f-s\vrr\n' | ipvsadm -R
printf -- '-A -t 10.9.0.1:100 -s rr\0 -p\n-A -t 10.9.0.1:101\n' | ipvsadm -R
printf -- '-S\n' | ipvsadm -R | head -1
ipvsadm -Sn
printf -- '-A -t 10.9.0.1:110\n-A -t 10.9.0.1:110\n' | ipvsadm-restore
printf -- '-A -t 10.9.0.1:111\n-A -t 10.9.0.1:111 -w 5\n' | ipvsadm-restore
printf -- '-A -t 10.9.0.1:112\n-A -t 10.9.0.1:112 -w 5\n' | ipvsadm-restore -n
ipvsadm-save -nx
ipvsadm-save -n x -n
ipvsadm-save --
