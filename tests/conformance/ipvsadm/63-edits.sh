# Recorded from ipvsadm 1.31 on Linux 6.1.
# What an edit resets.
ipvsadm -A -t 10.9.0.1:80 -s sh -b sh-port -p 100 -M 255.255.255.0 --pe sip
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.11:8080 -m -w 5 -x 10 -y 5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.12 -i --tun-type gue --tun-port 6080 --tun-csum -w 4
ipvsadm -Sn
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.11:8080 -m
ipvsadm -Ln
ipvsadm -Ln --thresholds
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.11:8080
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.12
ipvsadm -Ln --tun-info
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.12 -i
ipvsadm -Sn
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.12 -w 9 -x 3
ipvsadm -e -t 10.9.0.1:80 -r 10.0.0.12 -w 9 -y 3
ipvsadm -Ln
ipvsadm -E -t 10.9.0.1:80
ipvsadm -Sn
ipvsadm -E -t 10.9.0.1:80 -s wrr -p 50
ipvsadm -E -t 10.9.0.1:80 -s nosuch
ipvsadm -Sn
ipvsadm -E -t 10.9.0.1:80 -s mh -b mh-port,mh-fallback
ipvsadm -E -t 10.9.0.1:80 -s mh
ipvsadm -Sn
ipvsadm -E -t 10.9.0.1:80 -s rr -p 10 --pe nosuch
ipvsadm -E -t 10.9.0.1:80 -s rr -p 10 --pe sip
ipvsadm -E -t 10.9.0.1:80 -s rr -p 10
ipvsadm -Sn
ipvsadm -A -u 10.9.0.1:53 -o -p 5
ipvsadm -E -u 10.9.0.1:53 -s wlc
ipvsadm -E -u 10.9.0.1:54 -s wlc
ipvsadm -E -t 10.9.0.1:0 -s wlc
ipvsadm -Sn
ipvsadm -A -f 5 -s rr -o
ipvsadm -A -f 6 -6 -s rr -o -p 30
ipvsadm -E -f 5 -s wrr
ipvsadm -E -f 5 -6 -s wrr
ipvsadm -E -f 6 -s wrr
ipvsadm -E -f 6 -6 -s wrr -p 30 -M 64
ipvsadm -a -f 5 -r 10.0.0.11
ipvsadm -a -f 5 -r 10.0.0.11
ipvsadm -a -f 5 -r 10.0.0.11:80 -m
ipvsadm -a -f 5 -r 10.0.0.12:80 -g
ipvsadm -a -f 5 -r fd00::1 -g
ipvsadm -a -f 5 -r fd00::1 -i
ipvsadm -a -f 6 -6 -r 10.0.0.11 -i
ipvsadm -a -6 -f 6 -r fd00::1
ipvsadm -a -f 6 -r fd00::1 -6
ipvsadm -a -f 6 -6 -r [fd00::2]:80 -m
ipvsadm -Ln
ipvsadm -Sn
ipvsadm -D -f 6
ipvsadm -D -f 6 -6
ipvsadm -d -f 5 -r 10.0.0.11:80
ipvsadm -d -f 5 -r 10.0.0.99
ipvsadm -Ln
ipvsadm -Ln -f 5
ipvsadm -Ln -f 6 -6
ipvsadm -Z -f 5
ipvsadm -Z -f 6
ipvsadm -Z
