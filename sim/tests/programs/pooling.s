; Pooling and its gradients: maxima of 2x2 windows, sums of overlapping 3x3 windows.
; design: fp8-16x16
.data 0x0 fp16 =9 =-9 =8 =0 =-5 =-7 =7 =2 =9 =0 =4 =7
.more =2 =7 =1 =-9 =-6 =5 =5 =2 =0 =8 =3 =1
.more =9 =6 =-6 =3 =3 =-3 =8 =-9
.data 0x80 fp16 =5 =9 =4 =8 =9 =7 =5 =3
.data 0x90 fp16 =2 =4 =5 =3 =-2 =0 =3 =-5
.expect 0x100 fp16 =9 =7 =7 =7 =9 =6 =8 =8
.expect 0x140 fp32 =5 =0 =0 =0 =0 =0 =4 =0 =0 =0 =0 =9
.more =0 =8 =0 =0 =0 =0 =0 =0 =0 =3 =0 =0
.more =9 =7 =0 =0 =0 =0 =5 =0
.expect 0x200 fp32 =26 =13 =25 =11 =20 =35 =20 =7
.expect 0x240 fp32 =2 =4 =7 =7 =7 =7 =5 =3 =0 =4 =8 =2
.more =8 =2 =8 =-2 =0 =4 =8 =2 =8 =2 =8 =-2
.more =-2 =0 =1 =-5 =1 =-5 =3 =-5
format f0, fp16
format f1, fp32
tensor t0, f0, dram, 0, 4, 8
window t0, 2, 2, 4, 4, 2, 2, 2, 2, 0, 1
tensor t1, f0, dram, 0x100, 4, 2
pmax t1, t0
tensor t2, f0, dram, 0x80, 4, 2
tensor t3, f1, dram, 0x140, 16, 2
pmaxg t3, t0, t2
tensor t4, f0, dram, 0, 4, 18
window t4, 2, 2, 4, 4, 2, 3, 3, 1, 0, 1
tensor t5, f1, dram, 0x200, 4, 2
psum t5, t4
tensor t6, f0, dram, 0x90, 4, 2
tensor t7, f1, dram, 0x240, 16, 2
pspread t7, t4, t6
