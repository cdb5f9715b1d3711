; Block scales: two-dimensional blocks on both sides, on one, from the scratchpad, and by an
; advancing register.
; design: mxfp8-16x16
; set: array.rows=3
; set: array.cols=2
; set: mac.chunk=4
; set: mac.scale_rows=2
; set: mac.scale_cols=3
.region both
.region one
.region loop
.data 0x0 e4m3fn =0 =1 =4 =-4 =3 =-1 =-4 =-2 =-3 =1 =3 =-1
.more =2 =4 =-3 =-1 =-4 =-1 =2 =0 =-2 =2 =-2 =-3
.more =-2 =3 =-2 =-2 =-4 =-4 =-1 =-1 =-2 =-2 =0 =1
.more =-1 =4 =-1 =-2 =-1 =2 =0 =-4 =1 =2 =-2 =-2
.more =0 =-3
.data 0x80 e4m3fn =1 =0 =-4 =1 =-3 =0 =1 =0 =3 =1 =-2 =3
.more =3 =-2 =-4 =0 =-4 =1 =2 =-4 =4 =2 =1 =2
.more =-4 =3 =-4 =-2 =-1 =-3 =-1 =3 =1 =4 =1 =4
.more =0 =3 =-3 =1 =0 =-4 =2 =-3 =-1 =1 =4 =1
.more =-2 =1 =0 =4 =-3 =0 =1 =0 =-2 =-3 =-2 =0
.more =3 =-2 =-4 =-3 =4 =2 =-4 =-1 =1 =0
.data 0x100 e8m0 =2 =2 =0.5 =0.25 =0.25 =2 =1 =0.5 =0.5
.data 0x110 e8m0 =1 =1 =0.25 =0.125 =0.125 =1 =0.5 =0.25 =0.25
.data 0x120 e8m0 =4 =0.5 =2 =0.25 =0.5 =2 =1 =0.5 =0.25
.expect 0x200 fp32 =-199 =0 =-185 =31 =-17.5 =10.75 =149.5 =17 =15.5 =-106 =-16 =-14.5
.more =-45 =55 =40.5 =-4.25 =12.3125 =15.125 =-9 =5.75 =-1 =19.375 =-14.8125 =4.25
.more =6.875 =-2.625 =2 =-0.5 =-31.375 =2.375 =-11.125 =8.75 =-2 =10.25 =3
.expect 0x300 fp32 =-97.25 =9.75 =-86.5 =14 =-12.5 =8 =77 =5.5 =3.25 =-56 =-8 =-5
.more =-24 =26 =22 =11 =49.25 =4.5 =-8 =9 =-32 =21.5 =-24.25 =31
.more =-0.5 =-7 =8 =-9 =-26.75 =-3.25 =-14.25 =12 =-2.5 =9.5 =0
.expect 0x400 fp32 =-80.5 =10.5 =-62 =62 =-35 =21.5 =80 =-16 =41 =-28 =-32 =-29
.more =-90 =24 =42 =-4.25 =4.25 =30.25 =-18 =11.5 =27.5 =18.25 =-10.5 =2.75
.more =13.75 =-5.25 =4 =6.75 =-4 =-2.5 =-5.5 =17.5 =-4 =20.5 =1.5
.expect 0x500 fp32 =-38 =15 =-25 =28 =-25 =16 =49 =-11 =16 =-17 =-16 =-10
.more =-48 =6 =28 =11 =17 =9 =-16 =18 =-2 =17 =-7 =25
.more =-1 =-14 =16 =-1 =1 =-7 =-9 =24 =-5 =19 =0
.expect 0x600 fp32 =-199 =0 =-185 =31 =-17.5 =10.75 =149.5 =17 =15.5 =-106 =-16 =-14.5
.more =-45 =55 =40.5 =-4.25 =12.3125 =15.125 =-9 =5.75 =-1 =19.375 =-14.8125 =4.25
.more =6.875 =-2.625 =2 =-0.5 =-31.375 =2.375 =-11.125 =8.75 =-2 =10.25 =3
.expect 0x700 fp32 =-99.5 =0 =-92.5 =15.5 =-8.75 =5.375 =74.75 =8.5 =7.75 =-53 =-8 =-7.25
.more =-22.5 =27.5 =20.25 =-2.125 =6.15625 =7.5625 =-4.5 =2.875 =-0.5 =9.6875 =-7.40625 =2.125
.more =3.4375 =-1.3125 =1 =-0.25 =-15.6875 =1.1875 =-5.5625 =4.375 =-1 =5.125 =1.5
mark both
format f0, e4m3fn
format f1, e8m0
format f2, fp32
tensor t0, f2, dram, 0x200, 5, 7
tensor t1, f0, dram, 0, 5, 10
tensor t2, f0, dram, 0x80, 10, 7
tensor t3, f1, dram, 0x100, 3, 3
tensor t4, f1, dram, 0x120, 3, 3
scales t3, t4
gemm t0, t1, t2
mark one
tensor t0, f2, dram, 0x300, 5, 7
scales none, t4
gemm t0, t1, t2
; Transposed in the scratchpad, read back through strides.
tensor t5, f1, spm, 0x40, 3, 3
stride t5, 3, 0, 1, 3
load t5, t3
tensor t0, f2, dram, 0x400, 5, 7
scales t5, none
gemm t0, t1, t2
tensor t0, f2, dram, 0x500, 5, 7
scales none, none
gemm t0, t1, t2
mark loop
; The registers are named, not copied: the second product has the halves.
tensor t0, f2, dram, 0x600, 5, 7
scales t3, t4
loop 2, 3
gemm t0, t1, t2
advance t0, 0x100
advance t3, 0x10
halt
