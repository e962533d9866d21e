# Recorded from ipvsadm 1.31 on Linux 6.1.
# The order of the list.
for a in fd00::2 fd00::1 fe00::1 fd00::10 2001:db8::1; do ipvsadm -A -t [$a]:80 -s rr; done
for a in 10.9.0.10 10.9.0.9 192.168.0.1 172.16.0.1; do ipvsadm -A -t $a:80 -s rr; ipvsadm -A -u $a:80 -s rr; ipvsadm -A --sctp-service $a:80 -s rr; done
for p in 443 80 8080 1024 255 256; do ipvsadm -A -t 10.9.0.1:$p -s rr; done
for m in 300 5 256 255 4294967295 1; do ipvsadm -A -f $m -s rr; done
for m in 7 6 300; do ipvsadm -A -f $m -6 -s rr; done
for r in 10.0.0.20 10.0.0.3 192.168.0.1 9.0.0.1; do ipvsadm -a -t 10.9.0.1:80 -r $r:80 -m; ipvsadm -a -t 10.9.0.1:80 -r $r:8080 -m; ipvsadm -a -t 10.9.0.1:80 -r $r:443 -m; done
for r in fd00::20 fd00::3 fe00::1 10.0.0.9 10.0.0.3; do ipvsadm -a -t 10.9.0.1:443 -r $r -i; ipvsadm -a -t [fd00::1]:80 -r $r -i; done
for r in fd00::20 fd00::3 fe00::1; do ipvsadm -a -t [fd00::1]:80 -r [$r]:8080 -m; done
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -Ln -t 10.9.0.1:443
ipvsadm -L -t [fd00::1]:80
ipvsadm -Ln --stats
